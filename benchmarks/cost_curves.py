"""What does training cost as rank, rows or text length grow? Measured seconds beside what operations and bytes predict.

    EMBFACT_DATA_DIR=... python benchmarks/cost_curves.py --output cost.svg    # SST-2 and IMDB: ten minutes
    python benchmarks/cost_curves.py --quick                                   # tiny: shows that it works

Seconds are those from the first step to the end of the last one of an epoch of `embfact.training.fit.fit`:
no scoring, no checkpoints, no start-up. Expected are the matrix products of the rows without padding, at the speed of
a matrix product measured here, and 44 bytes for each trained weight and step, at the speed of memory measured here:
float32 gradients, clipping and AdamW read and write a weight, its gradient and two moments eleven times. Only its slope
is compared: the expected curve is moved to the middle of the measured one. Slopes are those of a straight line through
the logarithms.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from baselines import Workload, prepare
from side_by_side import ROUNDS, gemm_speed, in_turn, machine, repeats, table

from embfact.profiling.profile import row_flops

BYTES = (
    44  # of a weight and step: zeros, gradient, norm, scaling (2), and AdamW: four numbers read, three written; 4 each
)
COMMON = [
    "factorization=svd",
    "logger=none",
    "trainer.epochs=1",
    "data.selection_size=0",
    "data.eval_size=32",
    "checkpoint=last",
]


@dataclass(frozen=True)
class Curve:
    """One panel: what grows, and the overrides of each point by the value that it is called by."""

    grows: str
    axis: str
    points: dict[int, list[str]]


@dataclass(frozen=True)
class Measured:
    """A curve, measured.

    Attributes:
        curve: What grows.
        x: Where the points are: ranks, rows, or mean tokens of a row.
        seconds: Of each point, one a round.
        costs: Seconds that operations and bytes predict at the limits of the machine.
    """

    curve: Curve
    x: list[float]
    seconds: list[list[float]]
    costs: list[float]

    @property
    def medians(self) -> list[float]:
        """Median seconds of each point."""
        return [median(values) for values in self.seconds]

    @property
    def expected(self) -> list[float]:
        """The predicted curve, moved to the middle of the measured one."""
        shift = np.exp(np.mean(np.log(self.medians)) - np.mean(np.log(self.costs)))
        return [float(shift * cost) for cost in self.costs]

    @property
    def slopes(self) -> tuple[float, float]:
        """Of the measured and of the expected curve."""
        return slope(self.x, self.medians), slope(self.x, self.costs)


def main() -> None:
    """Print a table for each curve, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=640, help="rows for the curve of ranks; the sizes follow from it")
    parser.add_argument("--long-rows", type=int, default=256, help="rows for the curve of lengths")
    parser.add_argument("--rounds", type=repeats, default=ROUNDS, help=f"times of each point, {ROUNDS} or more")
    parser.add_argument("--output", type=Path, help="picture to write: .svg, .png or .pdf")
    parser.add_argument("--quick", action="store_true", help="a tiny model, a few rows")
    arguments = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        found = [measure(curve, Path(folder), arguments.rounds) for curve in curves(arguments)]
    for measured in found:
        report(measured)
    if arguments.output:
        from cost_plot import draw

        from embfact.results.plots.style import save

        save(draw(found), arguments.output)


def curves(arguments: argparse.Namespace) -> list[Curve]:
    """What is trained, in overrides."""
    if arguments.quick:
        tiny, rows, long = ["model=bert_scratch", "data=vader"], 64, 64
        ranks, cuts, texts = (2, 4, 8, 16, 32), (4, 5, 6), tiny
    else:
        tiny, rows, long = ["model=minilm", "data=sst2"], arguments.rows, arguments.long_rows
        ranks, cuts, texts = (16, 32, 64, 128, 256), (64, 128, 256), ["model=minilm", "data=imdb"]
    middle = ranks[2]
    sizes = [rows * factor for factor in (1, 2, 4)]
    return [
        Curve("rank", "rank of the table", {r: [*tiny, f"data.train_size={rows}", f"rank={r}"] for r in ranks}),
        Curve("rows", "training rows", {n: [*tiny, f"data.train_size={n}", f"rank={middle}"] for n in sizes}),
        Curve(
            "length",
            f"mean tokens of a row, cut at {', '.join(map(str, cuts))}",
            {n: [*texts, f"data.train_size={long}", f"rank={middle}", f"data.max_length={n}"] for n in cuts},
        ),
    ]


def measure(curve: Curve, folder: Path, rounds: int) -> Measured:
    """Train every point in turn."""
    works = {
        name: prepare([*COMMON, *words, f"paths.cache_dir={folder}/cache"]) for name, words in curve.points.items()
    }
    first = next(iter(works.values()))
    train(first, folder)  # memory is taken and threads are started in the first training
    found = in_turn({str(name): partial(train, work, folder) for name, work in works.items()}, rounds)
    speeds = gemm_speed() * 1e9, memory_speed()
    costs = [cost(work, found[str(name)][0][1], *speeds) for name, work in works.items()]
    x = [float(mean_tokens(work)) if curve.grows == "length" else float(name) for name, work in works.items()]
    return Measured(curve, x, [[seconds for seconds, _ in passes] for passes in found.values()], costs)


def train(work: Workload, folder: Path) -> tuple[float, int]:
    """Train a copy of the model; seconds of its steps, and how many there were."""
    import pytorch_lightning as pl

    from embfact.training.fit import fit
    from embfact.training.start import data_module

    class Clock(pl.Callback):
        """When the first step began and the last one ended."""

        begun = ended = 0.0

        def on_train_batch_start(self, *args: Any) -> None:
            self.begun = self.begun or time.perf_counter()

        def on_train_batch_end(self, *args: Any) -> None:
            self.ended = time.perf_counter()

    clock = Clock()
    pl.seed_everything(work.config.seed, verbose=False)
    model = copy.deepcopy(work.start.model)
    fitted = fit(model, data_module(work.start, work.config), work.in_folder(folder), watching=[clock])
    return clock.ended - clock.begun, fitted.steps


def cost(work: Workload, steps: int, products: float, memory: float) -> float:
    """Seconds that a training would take at the limits of the machine.

    Args:
        work: What is trained.
        steps: Its optimizer steps.
        products: Operations a second of matrix products.
        memory: Bytes a second.
    """
    rows, model = work.start.splits.train, work.start.model
    flops = row_flops(model, rows.row(0)).of(len(rows), int(rows.lengths.sum()), int((rows.lengths**2).sum()))
    weights = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return flops / products + steps * weights * BYTES / memory


def mean_tokens(work: Workload) -> float:
    """Tokens of a training row."""
    return float(work.start.splits.train.lengths.mean())


def memory_speed(repeats: int = 5) -> float:
    """Bytes a second of adding one vector to another, 256 MB each: two are read and one is written."""
    import torch

    total, one = torch.zeros(2**26), torch.ones(2**26)
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        total.add_(one)
        seconds.append(time.perf_counter() - start)
    return 3 * 4 * 2**26 / median(seconds[1:])


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the straight line through the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def report(measured: Measured) -> None:
    """Print the table of a curve, and its slopes."""
    medians, expected = measured.medians, measured.expected
    points = zip(measured.curve.points, measured.x, medians, measured.seconds, expected, strict=True)
    rows = [
        (name, f"{x:.{0 if x >= 10 else 1}f}", f"{own:.2f}", f"{min(all_):.2f} to {max(all_):.2f}", f"{predicted:.2f}")
        for name, x, own, all_, predicted in points
    ]
    print(f"\n### Seconds against {measured.curve.axis}\n")
    print(table([measured.curve.grows, "x", "median s", "fastest to slowest", "expected s"], rows))
    own, predicted = measured.slopes
    print(f"\nslope: measured {own:.2f}, expected {predicted:.2f}", flush=True)


if __name__ == "__main__":
    main()
