"""How long does a rank sweep take? One command of embfact, against a process of `run_glue_style.py` for every run.

    EMBFACT_DATA_DIR=... python benchmarks/glue_sweep.py    # SST-2, 2,000 rows: 25 minutes; needs embfact[bench]
    python benchmarks/glue_sweep.py --quick                 # a few rows: shows that it works

Ten runs, five ranks by two seeds, each side from empty caches. Of the other side, each process takes minutes and all
are alike: the median of some is taken as often as there are runs. Ours takes turns with them. Evaluation of ours is
that of the saved weights; the held-out slice that it also scores after the epoch belongs to its training.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from baselines import compose, require_trainer, write_texts
from run_glue_style import command, seconds_of
from side_by_side import ROUNDS, machine, repeats, table

from embfact.system.cores import usable_cores

TRAIN = Path(__file__).resolve().parents[1] / "train.py"
GLUE, SWEEP, PARALLEL = "run_glue.py-style", "embfact", "embfact, hydra/launcher=parallel"
PARTS = ("startup", "training", "evaluation")


@dataclass(frozen=True)
class Took:
    """Wall seconds of a command, and of its parts; what is in none of them is the rest."""

    wall: float
    parts: dict[str, float]

    def times(self, number: int) -> Took:
        """What so many of them take one after another."""
        return Took(number * self.wall, {name: number * seconds for name, seconds in self.parts.items()})

    @property
    def rest(self) -> float:
        """Loading, factorizing, saving, leaving."""
        return self.wall - sum(self.parts.values())


def main() -> None:
    """Print a table of the ways, with their parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000, help="training rows of SST-2")
    parser.add_argument("--processes", type=repeats, default=ROUNDS, help=f"other side, measured; {ROUNDS} or more")
    parser.add_argument("--sweeps", type=int, default=1, help="sweeps of each kind of ours; the median is taken")
    parser.add_argument("--quick", action="store_true", help="a few rows, two runs, each command once")
    arguments = parser.parse_args()
    if arguments.sweeps < 1:
        parser.error("--sweeps must be 1 or more")
    require_trainer()
    print(machine() + "\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        words, runs = workload(arguments)
        ways = ways_of(words, Path(folder), quick=arguments.quick)
        often = {GLUE: arguments.processes, SWEEP: arguments.sweeps, PARALLEL: arguments.sweeps}
        found = taking_turns(ways, dict.fromkeys(ways, 1) if arguments.quick else often)
    report({way: middle(own).times(runs if way == GLUE else 1) for way, own in found.items()}, runs, found)


def workload(arguments: argparse.Namespace) -> tuple[list[str], int]:
    """The sweep, in overrides, and how many runs it has."""
    words = ["model=minilm", "factorization=svd", "trainer.epochs=1", "baseline=false"]
    if arguments.quick:
        rows = ["data=vader", "data.train_size=64", "data.selection_size=32", "data.eval_size=32"]
        return [*words, *rows, "rank=8,16", "seed=0"], 2
    return [*words, "data=sst2", f"data.train_size={arguments.rows}", "rank=16,32,64,128,256", "seed=0,1"], 10


def ways_of(words: Sequence[str], folder: Path, *, quick: bool) -> dict[str, Callable[[], Took]]:
    """What is compared."""
    from embfact.models.backbones import resolve

    one = [word for word in words if not word.startswith(("rank=", "seed="))]
    config = compose([*one, "rank=64"])
    files = write_texts(config, folder / "texts")
    model = Path(resolve(str(config.model.name_or_path)))
    length = ["--max-length", "16" if quick else "128"]
    options = ["--rank", "64", "--lr", str(config.optimizer.lr), *length]
    number = count()
    sweep = partial(sweep_of, words, folder, number)
    return {
        GLUE: lambda: glue_process(command(model, files, folder / f"glue{next(number)}", *options), folder),
        SWEEP: sweep,
        PARALLEL: partial(sweep, "hydra/launcher=parallel"),
    }


def taking_turns(ways: dict[str, Callable[[], Took]], often: dict[str, int]) -> dict[str, list[Took]]:
    """Measure each way as often as is said, in turn."""
    found: dict[str, list[Took]] = {way: [] for way in ways}
    for turn in range(max(often.values())):
        for way, measure in ways.items():
            if turn < often[way]:
                found[way].append(measure())
                print(f"{way}: {found[way][-1].wall:.0f} s", file=sys.stderr, flush=True)
    return found


def glue_process(words: Sequence[str], folder: Path) -> Took:
    """One process of the other side."""
    wall, output = run(words, HF_HOME=str(folder / "huggingface"))
    return Took(wall, seconds_of(output))


def sweep_of(words: Sequence[str], folder: Path, number: count[int], *more: str) -> Took:
    """One sweep of ours, from empty caches into an empty folder; times of runs side by side count by their share."""
    place, begun = folder / f"sweep{next(number)}", time.time()
    wall, _ = run([str(TRAIN), *words, *more, f"paths.cache_dir={place}/cache", f"output_dir={place}/runs", "-m"])
    records = [json.loads(file.read_text(encoding="utf-8")) for file in (place / "runs").glob("*/record.json")]
    first = min(datetime.fromisoformat(record["started"]).timestamp() for record in records)
    side_by_side = min(usable_cores(), len(records)) if more else 1
    parts = {name: sum(record["seconds"][name] for record in records) / side_by_side for name in PARTS[1:]}
    return Took(wall, {"startup": first - begun, **parts})


def run(words: Sequence[str], **environment: str) -> tuple[float, str]:
    """Wall seconds of a process of this interpreter, and what it printed.

    Raises:
        CalledProcessError: If it fails; what it said is on the terminal.
    """
    places = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *words], check=True, stdout=subprocess.PIPE, text=True, env=places)
    return time.perf_counter() - start, done.stdout


def middle(found: Sequence[Took]) -> Took:
    """Medians of the whole and of each part."""
    parts = {name: median(one.parts[name] for one in found) for name in PARTS}
    return Took(median(one.wall for one in found), parts)


def report(ways: dict[str, Took], runs: int, found: dict[str, list[Took]]) -> None:
    """Print the table; the other side is what ours is compared with."""
    rows = []
    for way, took in ways.items():
        parts = [f"{seconds:.0f}" for seconds in (took.wall, *(took.parts[name] for name in PARTS), took.rest)]
        number = f"{runs} x median of {len(found[way])}" if way == GLUE else f"median of {len(found[way])}"
        rows.append((way, number, *parts, f"{ways[GLUE].wall / took.wall:.1f}"))
    header = ["a sweep", "measured", "wall s", "start-up s", "training s", "evaluation s", "rest s", "times as fast"]
    print(table(header, rows))
    walls = ", ".join(f"{one.wall:.0f}" for one in found[GLUE])
    print(f"\n{runs} runs; single processes of the {GLUE} kind: {walls} s")


if __name__ == "__main__":
    main()
