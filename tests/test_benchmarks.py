"""The benchmarks run; what they measure on a busy machine is no test."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def test_factorize_prints_a_table_for_each_question():
    command = [sys.executable, BENCHMARKS / "factorize.py", "--quick", "--repeats", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    heads = [line for line in done.stdout.splitlines() if line.startswith("| ---")]
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(heads) == 3
    assert rows.count("3,000 x 48") == rows.count("3,000 x 96") == 2
    assert rows[-2:] == ["gram", "randomized"]


def test_factorize_takes_no_fewer_than_three_measurements():
    command = [sys.executable, BENCHMARKS / "factorize.py", "--quick", "--repeats", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--repeats must be 3 or more" in done.stderr


def test_runs_list_times_the_listing_of_every_run():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "runs_list.py", "--quick"], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1].startswith("| 200 | ")
