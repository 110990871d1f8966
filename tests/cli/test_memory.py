"""Many runs in one process: memory does not grow, and each record has the peak of its own run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from embfact.runs.record import read
from tests.helpers.places import CONF

# Prints the resident memory in bytes after every run, at the end as JSON.
PROGRAM = """
import json, resource, sys
from pathlib import Path
from embfact.cli.train import main
from embfact.launchers.sweep_task import SweepTask

resident, report = [], SweepTask.report

def measured(sweep, number, outcome):
    report(sweep, number, outcome)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident.append(pages * resource.getpagesize())

SweepTask.report = measured
code = main(Path(sys.argv[1]), sys.argv[2:])
print(json.dumps(resident))
sys.exit(code)
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system tells no memory in /proc"),
]


def sweep(folder: Path, *words: str) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(CONF), *words, "output_dir=runs", "-m"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_memory_does_not_grow_over_fifty_runs(tiny: list[str], tmp_path: Path) -> None:
    seeds = ",".join(map(str, range(10)))
    methods = "factorization=svd,weighted_svd,random,hybrid_svd,none"
    resident = sweep(tmp_path, *tiny, methods, "rank=8", f"seed={seeds}", "baseline=false")
    assert len(resident) == 50
    assert resident[-1] < 1.05 * resident[9], [round(bytes / 2**20) for bytes in resident]


def test_the_peak_of_a_large_run_is_not_that_of_the_next_one(tiny: list[str], tmp_path: Path) -> None:
    long = ["data.max_length=128", "trainer.batch_size=96"]
    wide = [f"model.architecture.hidden_size={size}" for size in (768, 128)]
    sizes = ",".join(str(word).split("=")[1] for word in wide)
    sweep(tmp_path, *tiny, *long, f"model.architecture.hidden_size={sizes}", "factorization=none", "baseline=false")
    records = [read(path.parent) for path in tmp_path.glob("runs/*/record.json")]
    large, small = sorted(records, key=lambda record: -record.size.model.parameters)  # type: ignore[union-attr]
    assert large.started < small.started
    assert small.peak_memory_bytes < 0.9 * large.peak_memory_bytes  # type: ignore[operator]
