"""How long does `scripts/runs.py list` take over many runs?

    python benchmarks/runs_list.py            # 20,000 runs: half a minute to make them, 240 MB of disk for a while
    python benchmarks/runs_list.py --quick    # 200

Times are those of whole processes, start-up and printing included; half of the runs have a status beside their record.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

RUNS = Path(__file__).resolve().parents[1] / "scripts" / "runs.py"
REPEATS = 3


def main() -> None:
    """Print one line of a Markdown table, with its head."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000, metavar="N", help="how many runs to list (default 20,000)")
    parser.add_argument("--quick", action="store_true", help="200 runs: shows that it works, measures nothing")
    options = parser.parse_args()
    count = 200 if options.quick else options.runs
    with tempfile.TemporaryDirectory() as folder:
        size = write_runs(Path(folder), count)
        seconds = sorted(list_runs(folder, count) for _ in range(REPEATS))
    print("| runs | bytes a record | median of 3, s | fastest to slowest, s |")
    print("| ---: | -------------: | -------------: | --------------------: |")
    print(f"| {count:,} | {size:,} | {median(seconds):.2f} | {seconds[0]:.2f} to {seconds[-1]:.2f} |")


def list_runs(folder: str, count: int) -> float:
    """Seconds of one listing; it must have found every run."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, RUNS, "list", folder], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    assert f"{count:,} runs" in done.stdout.splitlines()[-1], done.stdout[-500:]
    return seconds


def write_runs(folder: Path, count: int) -> int:
    """Write the directories of a made-up sweep; gives the bytes of a record."""
    start, size = datetime(2026, 1, 1, tzinfo=UTC), 0
    for number in range(count):
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        method, rank, seed = ("svd", "random", "weighted_svd")[number % 3], 2 ** (number % 8), number
        name = f"sst2-minilm-{method}-r{rank}-s{seed}-{digest[:8]}"
        begun, failed = start + timedelta(minutes=number), number % 50 == 0
        identity = {"name": name, "hash": digest}
        run = {"method": method, "rank": rank, "seed": seed, "started": begun.isoformat(), "failed": failed}
        text = json.dumps(identity | record_values(run), indent=2)
        directory = folder / f"sweep_{number % 10}" / name
        directory.mkdir(parents=True)
        (directory / "record.json").write_text(text)
        if number % 2:
            ended = (begun + timedelta(seconds=50)).isoformat()
            (directory / "status.json").write_text(json.dumps(identity | status_values(failed, ended), indent=2))
        size = len(text)
    return size


def record_values(run: dict[str, Any]) -> dict[str, Any]:
    """A record as `embfact.runs.record` writes it, of the usual size."""
    amount = {"parameters": 1_978_000, "bytes": 7_912_000}
    sizes = {"embedding": amount, "model": amount}
    options = {f"option_{number}": 0.1 * number for number in range(34)}
    config = dict.fromkeys(("data", "model", "trainer", "optimizer"), options)
    history = [{"epoch": epoch, "accuracy": 0.9 + epoch / 100, "loss": 0.3} for epoch in range(3)]
    return {
        "schema_version": 1,
        "status": "failed" if run["failed"] else "finished",
        "experiment": "made_up",
        "tags": [],
        "started": run["started"],
        "config": {**config, "output_dir": "outputs/made_up"},
        "science": {"trainer": options, "method": run["method"], "seed": run["seed"]},
        "seed": run["seed"],
        "data": {
            "name": "sst2",
            "fingerprint": "ab" * 32,
            "rows": {"train": 8000, "validation": 872},
            "metrics": ["accuracy"],
        },
        "model": {"name": "minilm", "fingerprint": "ab" * 32},
        "method": {"name": run["method"], "rank": run["rank"], "size": f"r{run['rank']}"},
        "size": None if run["failed"] else {**sizes, "dense": sizes},
        "metrics": {} if run["failed"] else {"validation": {"accuracy": 0.9}},
        "selection": {"rows": 1000, "metric": "accuracy", "best_epoch": 2, "value": 0.92, "history": history},
        "training": {"steps": 750, "epochs": 3, "threads": 1, "device": "cpu", "precision": "32-true"},
        "seconds": {"data": 1.5, "training": 40.0, "total": 50.0},
        "versions": {f"library_{number}": "1.2.3" for number in range(40)},
        "error": {"type": "RuntimeError", "message": "made up " * 12} if run["failed"] else None,
    }


def status_values(failed: bool, ended: str) -> dict[str, Any]:
    """A status as `embfact.runs.status` writes it."""
    counts = {"step": 750, "steps": 750, "attempt": 1, "seconds": 50.0, "threads": 1}
    times = {"created": ended, "updated": ended}
    return {"state": "failed" if failed else "finished", "phase": "recording", "message": None} | counts | times


if __name__ == "__main__":
    main()
