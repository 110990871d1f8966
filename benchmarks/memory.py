"""How much memory does a run take? Whole processes of embfact, and of transformers' Trainer at its best, in turn.

    EMBFACT_DATA_DIR=... python benchmarks/memory.py    # 2,000 rows of SST-2: six minutes; needs embfact[bench]
    python benchmarks/memory.py --quick                 # once, with a few rows: shows that it works

Ours is `python train.py`: it also scores the held-out slice and the validation rows, saves the weights and reads them
again. The Trainer trains the dense model in batches of like length with fused AdamW, and does nothing else. Peaks are
those that the system keeps of each process, told when it ends: no sample is missed. Memory-mapped files count.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

from baselines import compose, require_trainer, write_texts
from run_glue_style import command
from side_by_side import ROUNDS, in_turn, machine, ratio, repeats, table

TRAIN = Path(__file__).resolve().parents[1] / "train.py"
MEGABYTE = 1e6
TRAINER, DENSE, SMALL = "Trainer, dense, grouped by length", "embfact, dense", "embfact, svd, rank 64"
IMPORTS = {
    "imports of embfact alone": "import embfact.training.run",
    "imports of the Trainer alone": "import datasets; from transformers import BertForSequenceClassification, Trainer",
}


def main() -> None:
    """Print a table of the peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000, help="training rows of SST-2")
    parser.add_argument("--rounds", type=repeats, default=ROUNDS, help=f"processes of each, {ROUNDS} or more")
    parser.add_argument("--quick", action="store_true", help="a few rows, each process once")
    arguments = parser.parse_args()
    require_trainer()
    print(machine() + "\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        words = workload(arguments, Path(folder))
        found = in_turn(ways_of(words, Path(folder)), 1 if arguments.quick else arguments.rounds)
    report(found)


def workload(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """What is trained, in overrides."""
    words = ["model=minilm", "logger=none", "trainer.epochs=1", f"paths.cache_dir={folder}/cache"]
    if arguments.quick:
        return [*words, "data=vader", "data.train_size=64", "data.selection_size=32", "data.eval_size=32"]
    return [*words, "data=sst2", f"data.train_size={arguments.rows}"]


def ways_of(words: Sequence[str], folder: Path) -> dict[str, partial[int]]:
    """What is compared, and what importing alone takes."""
    from embfact.models.backbones import resolve

    config = compose(words)
    files = write_texts(config, folder / "texts")
    trainer = command(Path(resolve(str(config.model.name_or_path))), files, folder / "trainer")
    # Finished runs would not be done again.
    ours = [str(TRAIN), *words, "force=true", f"output_dir={folder}/runs"]
    imports = {name: partial(peak_of, ["-c", line]) for name, line in IMPORTS.items()}
    return {
        TRAINER: partial(peak_of, [*trainer, "--grouped", "--only-train"], HF_HOME=f"{folder}/cache"),
        DENSE: partial(peak_of, [*ours, "factorization=none"]),
        SMALL: partial(peak_of, [*ours, "factorization=svd", "rank=64"]),
        **imports,
    }


def peak_of(words: Sequence[str], **environment: str) -> int:
    """Bytes of the largest resident set of a process of this interpreter.

    Raises:
        SystemExit: If it fails; what it said is on the terminal.
    """
    places = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, env=places)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # it is waited for already
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with exit code {process.returncode}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def report(found: dict[str, list[int]]) -> None:
    """Print the table; the Trainer is what the others are compared with."""
    rows = [
        (way, f"{median(own) / MEGABYTE:.0f}", f"{min(own) / MEGABYTE:.0f} to {max(own) / MEGABYTE:.0f}", share)
        for way, own in found.items()
        for share in [f"{ratio(own, found[TRAINER]):.2f}"]
    ]
    print(table(["process", "peak MB, median", "MB, least to most", "share of the Trainer's"], rows))


if __name__ == "__main__":
    main()
