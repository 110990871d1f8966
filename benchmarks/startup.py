"""From typing `python train.py` to the end of the first optimizer step, beside the imports alone.

    python benchmarks/startup.py            # whole processes, in turn; a few minutes
    python benchmarks/startup.py --quick    # one cheap round, to see that it works

Files are in the caches of the system and of embfact (a first round is not counted); every process trains a run anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from side_by_side import ROUNDS, in_turn, machine, ratio, repeats, table

IMPORTS = "import torch, transformers, pytorch_lightning"
FIRST_STEP = Path(__file__).resolve().parent / "first_step.py"
DEFAULT = ["data=vader", "model=minilm", "factorization=svd", "rank=64", "logger=offline"]
QUICK = ["data=vader", "model=bert_scratch", "debug=fast", "rank=16", "logger=offline"]
PARTS = {
    "interpreter": "interpreter",
    "configuration": "configuration and plan",
    "imports": "imports",
    "loading": "data, tokens and backbone",
    "factorization": "evidence and decomposition",
    "step": "model, trainer and the first step",
}


def imports() -> dict[str, float]:
    """Seconds of a process that only imports; to take all of it down again is not counted, here as for `train.py`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"{IMPORTS}, os; os._exit(0)"], check=True, capture_output=True)
    return {"all": time.perf_counter() - start}


def first_step(words: list[str], cache: Path) -> dict[str, float]:
    """Seconds from the start of a process to the end of its first optimizer step, in all and by part."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "moments.json"
        places = [f"paths.cache_dir={cache}", f"output_dir={scratch}/runs"]
        before = start = time.time()
        done = subprocess.run(
            [sys.executable, FIRST_STEP, report, *words, *places], capture_output=True, text=True, check=False
        )
        if not report.exists():
            sys.exit(f"train.py took no step:\n{done.stdout}{done.stderr}")
        moments = json.loads(report.read_text())
    seconds = {"all": moments["step"] - start}
    for part in PARTS:
        seconds[part], before = moments[part] - before, moments[part]
    return seconds


def main() -> None:
    """Measure in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of a small model")
    parser.add_argument("--rounds", type=repeats, default=ROUNDS)
    arguments = parser.parse_args()
    words = QUICK if arguments.quick else DEFAULT

    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as cache:
        ways = {"imports": imports, "first step": lambda: first_step(words, Path(cache))}
        if not arguments.quick:
            in_turn(ways, 1)  # fills the caches
        found = in_turn(ways, 1 if arguments.quick else arguments.rounds)
    alone, steps = ([one["all"] for one in found[name]] for name in ways)
    rows: list[tuple[str, str, str]] = [
        (f"`python -c '{IMPORTS}'`", f"{median(alone):.2f}", "1.00x"),
        (f"`python train.py {' '.join(words)}`", f"{median(steps):.2f}", f"{ratio(steps, alone):.2f}x"),
    ]
    for part, title in PARTS.items():
        seconds = [one[part] for one in found["first step"]]
        rows.append((f"of which {title}", f"{median(seconds):.2f}", f"{ratio(seconds, alone):.2f}x"))
    print(table(("to the end of the imports, or of the first optimizer step", "seconds", "of the imports"), rows))


if __name__ == "__main__":
    main()
