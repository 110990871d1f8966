"""Is a sweep faster two runs side by side with a thread each, or one after another with two threads?

    EMBFACT_DATA_DIR=... python benchmarks/sweep.py     # twelve runs each way on SST-2: about half an hour
    python benchmarks/sweep.py                          # the same on the embedded data set, four epochs
    python benchmarks/sweep.py --quick                  # two tiny runs each way: shows in a minute that it works

Times are those of whole commands, start-up included, each into an output folder of its own. What both share is made
before: tokens and the decomposition of the table. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from embfact.system.cores import usable_cores

TRAIN = Path(__file__).resolve().parents[1] / "train.py"
COMMON = ["trainer=cpu", "logger=none", "factorization=svd", "baseline=false", "checkpoint=none"]
WAYS = {
    "one after another, 2 threads": ["trainer.threads=2"],
    "2 side by side, 1 thread each": ["hydra/launcher=parallel", "hydra.launcher.runs=2", "trainer.threads=1"],
}
LONG = 60.0  # seconds that a run has to take for start-up not to decide


@dataclass(frozen=True)
class Sweep:
    """What a sweep took.

    Attributes:
        seconds: Wall time of the command.
        runs: Seconds of each run, by its own record.
    """

    seconds: float
    runs: Sequence[float]


def main() -> None:
    """Print a table of both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train-size", type=int, default=6000, help="training rows of SST-2")
    parser.add_argument("--quick", action="store_true", help="two tiny runs each way")
    arguments = parser.parse_args()
    words, sizes = workload(arguments)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        common = [*COMMON, *words, f"paths.cache_dir={folder}/cache"]
        measure([*common, f"rank={sizes[-1]}", "trainer.max_steps=1", "trainer.epochs=1"], Path(folder, "warm"))
        many = [*common, f"rank={','.join(map(str, sizes))}", f"seed={'0,1' if arguments.quick else '0,1,2'}"]
        found = {way: measure([*many, *more], Path(folder, str(n))) for n, (way, more) in enumerate(WAYS.items())}
    report(found)


def workload(arguments: argparse.Namespace) -> tuple[list[str], list[int]]:
    """What each run trains, in overrides, and the ranks."""
    if arguments.quick:
        return ["debug=fast", "model=bert_scratch", "data=vader"], [8]
    if os.environ.get("EMBFACT_DATA_DIR"):
        words = ["data=sst2", f"data.train_size={arguments.train_size}", "trainer.epochs=1"]
    else:
        words = ["data=vader", "trainer.epochs=4"]
    return ["model=minilm", *words], [32, 64, 128, 256]


def machine() -> str:
    """Where it was measured, and what else the machine did."""
    load = os.getloadavg()[0]
    return f"{usable_cores()} cores ({platform.machine()}), torch {version('torch')}, load at the start {load:.1f}\n"


def measure(words: Sequence[str], folder: Path) -> Sweep:
    """Do a sweep into a fresh folder.

    Raises:
        CalledProcessError: If a run of it fails; what it said is on the terminal.
    """
    start = time.perf_counter()
    command = [sys.executable, str(TRAIN), *words, f"output_dir={folder}", "-m"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    records = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*/record.json")]
    return Sweep(seconds, [record["seconds"]["total"] for record in records])


def report(found: dict[str, Sweep]) -> None:
    """Print the table; the first way is what the others are compared with."""
    print("| runs | number | shortest run s | mean run s | whole sweep s | times as fast |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    usual = next(iter(found.values())).seconds
    for way, sweep in found.items():
        mean = sum(sweep.runs) / len(sweep.runs)
        cells = [len(sweep.runs), f"{min(sweep.runs):.1f}", f"{mean:.1f}", f"{sweep.seconds:.1f}"]
        print("|", " | ".join(map(str, [way, *cells, f"{usual / sweep.seconds:.2f}"])), "|")
    if min(min(sweep.runs) for sweep in found.values()) < LONG:
        print(f"\nRuns shorter than {LONG:.0f} s: start-up weighs more here than in a sweep that is worth its name.")


if __name__ == "__main__":
    main()
