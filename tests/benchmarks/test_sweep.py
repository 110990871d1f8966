"""The benchmark of a sweep runs; what it measures on a busy machine is no test."""

import subprocess
import sys

import pytest

from embfact.system.cores import usable_cores
from tests.helpers.places import ROOT

BENCHMARK = ROOT / "benchmarks" / "sweep.py"


@pytest.mark.benchmark
@pytest.mark.skipif(usable_cores() < 2, reason="two runs side by side need two cores")
def test_it_prints_a_row_for_each_way():
    done = subprocess.run([sys.executable, BENCHMARK, "--quick"], capture_output=True, text=True, check=True)
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith(("| one", "| 2"))]
    assert [row[1] for row in rows] == ["2", "2"]
    assert rows[0][-1] == "1.00 |"
