"""How much error does each method leave for its bytes, and how far is transform coding from the bound?

    EMBFACT_DATA_DIR=... python benchmarks/error_per_byte.py --rows rows.jsonl --output error_per_byte.svg
    python benchmarks/error_per_byte.py --quick                             # two methods: shows that it works

MiniLM's table; methods count the tokens of 8,000 training sentences of SST-2, and errors are weighted by those of 600
other sentences. Rows that a file holds already are not measured again, so an interrupted command goes on.

The bound is that of normal numbers with the variances that the tiers and axes of transform coding have (reverse
water-filling; Cover and Thomas, 2006, theorem 10.3.3): what no code of such numbers can beat, however long its blocks.
It counts no rotation, scales or tiers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from error_plot import draw
from side_by_side import table

from embfact.compression.factorize import Workbench, squared_errors
from embfact.compression.factorize_request import read_factorize_request
from embfact.config.places import CONF
from embfact.embeddings.layout import MOST_BITS
from embfact.embeddings.transform_coded import TransformCodedEmbedding
from embfact.factorization.decomposition_cache import decompose
from embfact.results.plots.style import save

BUDGETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25)
# How each method is stored: codes are as they are, and codebooks so small that int4 gains nothing.
STORED = {
    "none": ("int8", "int6", "int4", "int3", "int2"),
    "transform_coding": ("int8", "int6", "int4"),
    "vocabulary_pruning": ("int4", "int3"),
    "hybrid_svd": ("int8", "int4"),
    "weighted_svd": ("int8",),
    "svd": ("int8",),
    "group_svd": ("int8",),
    "residual_quantization": ("int8",),
    "product_quantization": ("int8",),
}


@dataclass(frozen=True)
class Row:
    """One method at one size.

    Attributes:
        method: Its name and storage.
        name: Its name.
        budget: Share of the dense float32 table's bytes that it may take; None for a dense table.
        bytes: Bytes that it takes.
        error: Squared error of the table over its squared norm, weighted by held-out tokens; None if it does not fit.
        counted: The same weighted by the smoothed counts that the method was given.
    """

    method: str
    name: str
    budget: float | None
    bytes: int
    error: float | None
    counted: float | None


@dataclass(frozen=True)
class Bound:
    """What normal numbers of the variances of tiers and axes need.

    Attributes:
        sizes: Tokens of each tier, shape ``(T, 1)``.
        worth: Weighted variance of each tier on each axis, shape ``(T, H)``.
        held_out: What each tier has on each axis of the squared norm that held-out tokens weigh, as a share.
    """

    sizes: torch.Tensor
    worth: torch.Tensor
    held_out: torch.Tensor

    def at_bits(self, bits: float) -> float:
        """Held-out error of the best code of so many bits."""
        level = self._level(lambda level: self._bits(level) <= bits)
        return (self.worth.clamp(max=level) / self.worth.clamp(min=1e-300) * self.held_out).sum().item()

    def bits_for(self, error: float) -> float:
        """Bits of the best code of such a weighted error."""
        return self._bits(self._level(lambda level: (self.sizes * self.worth.clamp(max=level)).sum().item() >= error))

    def whole_bits_for(self, error: float) -> float:
        """The same if every number has a whole number of bits, each of which leaves a quarter of the error."""
        quarters = 4.0 ** -torch.arange(MOST_BITS + 1, dtype=torch.float64)

        def spent(price: float) -> tuple[float, float]:
            costs = self.worth.unsqueeze(2) * quarters + price * torch.arange(MOST_BITS + 1)
            bits = costs.argmin(2)
            return (self.sizes * bits).sum().item(), (self.sizes * self.worth * quarters[bits]).sum().item()

        return spent(self._level(lambda price: spent(price)[1] >= error))[0]

    def _bits(self, level: float) -> float:
        return (self.sizes * (self.worth / level).clamp(min=1).log2() / 2).sum().item()

    def _level(self, high_enough: Callable[[float], bool]) -> float:
        low, high = 1e-14 * self.worth.max().item(), 4 * self.worth.max().item()
        for _ in range(100):
            middle = (low * high) ** 0.5
            low, high = (low, middle) if high_enough(middle) else (middle, high)
        return high


class Measuring:
    """MiniLM's table, its counts, and the rows measured so far.

    Args:
        words: Overrides that say which texts are counted.
        rows: File of the rows, or None.
    """

    def __init__(self, words: list[str], rows: Path | None):
        self.words, self.file = words, rows
        request = read_factorize_request(CONF, [*words, "factorization=svd", "rank=1"], False)
        self.bench = Workbench(request.jobs[0].config)
        self.smoothed = self.bench.counts + 1.0
        self.known = (
            [Row(**json.loads(line)) for line in rows.read_text().splitlines()] if rows and rows.exists() else []
        )

    def rows(self, stored: dict[str, tuple[str, ...]], budgets: list[float]) -> list[Row]:
        """Measure what is not known yet: each method at each budget, in each storage; dense ones have no budget."""
        return [
            self._row(name, budget, storage)
            for name, storages in stored.items()
            for storage in storages
            for budget in ([None] if name == "none" else budgets)
        ]

    def _row(self, name: str, budget: float | None, storage: str) -> Row:
        label = f"{name} {storage}"
        for row in self.known:
            if (row.method, row.budget) == (label, budget):
                return row
        size = [] if budget is None else [f"budget={budget}"]
        request = read_factorize_request(
            CONF, [*self.words, f"factorization={name}", f"storage={storage}", *size], False
        )
        (job,) = request.jobs
        row = Row(label, name, budget, 0, None, None)
        if not job.problem:
            found = self.bench.fit(job.config)
            small = found.embedding
            _, error = squared_errors(self.bench.table, small, self.bench.weights)
            _, counted = squared_errors(self.bench.table, small, self.smoothed)
            row = Row(label, name, budget, found.size.bytes, error, counted)
        if self.file:
            with self.file.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")
        print(f"{label} {budget}: {row.error}", file=sys.stderr, flush=True)
        return row

    def coded(self, budget: float) -> tuple[TransformCodedEmbedding, Bound]:
        """The table by transform coding, and the bound of its tiers and axes."""
        words = [*self.words, "factorization=transform_coding", "storage=int8", f"budget={budget}"]
        small = self.bench.fit(read_factorize_request(CONF, words, False).jobs[0].config).embedding
        assert isinstance(small, TransformCodedEmbedding)
        weights = self.smoothed / self.smoothed.sum()
        axes = decompose(self.bench.table, weights, center=True).axes
        numbers = (self.bench.table.double() - cast(torch.Tensor, axes.mean)) @ axes.axes.T
        tier = small.tier_of(torch.arange(len(numbers)))
        members = [(tier == number).nonzero().squeeze(1) for number in range(small.tiers)]
        worth = torch.stack([weights[ids].mean() * numbers[ids].square().mean(0) for ids in members])
        whole = self.bench.weights @ self.bench.table.double().square().sum(1)
        held_out = torch.stack([self.bench.weights[ids] @ numbers[ids].square() for ids in members]) / whole
        return small, Bound(torch.tensor([[len(ids)] for ids in members]), worth, held_out)

    def split(self, row: Row) -> list[str]:
        """What the bytes of transform coding in int8 are beyond those of the bound, as a line of a table."""
        assert row.budget is not None
        assert row.counted is not None
        small, bound = self.coded(row.budget)
        # Errors of rows are relative to all of the table, those of the bound to the weights.
        weights = self.smoothed / self.smoothed.sum()
        error = row.counted * (weights @ self.bench.table.double().square().sum(1)).item()
        least, whole = bound.bits_for(error) / 8, bound.whole_bits_for(error) / 8
        codes = small.codes.numel()
        parts = row.bytes, least, row.bytes - codes, whole - least, codes - whole
        return [
            row.method,
            f"{row.budget:g}",
            f"{row.bytes:,}",
            *(f"{part / least:.3f}" for part in (parts[0], *parts[2:])),
        ]


def main() -> None:
    """Print two Markdown tables and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, help="file for the rows, to go on after an interruption")
    parser.add_argument("--output", type=Path, help="picture, .svg or .png")
    parser.add_argument("--methods", nargs="+", default=list(STORED), choices=list(STORED), help="methods to compare")
    parser.add_argument("--quick", action="store_true", help="two methods at one budget, little text")
    options = parser.parse_args()
    texts = ["data=vader"] if options.quick else ["data=sst2", "data.train_size=8000"]
    stored: dict[str, tuple[str, ...]] = {name: STORED[name] for name in options.methods}
    if options.quick:
        stored = dict.fromkeys(("none", "transform_coding", "svd"), ("int8",))
    budgets = [0.05] if options.quick else list(BUDGETS)
    measuring = Measuring(["model=minilm", *texts], options.rows)
    rows = measuring.rows(stored, budgets)
    print(
        table(["method", "budget", "bytes", "share", "weighted error"], list(lines(rows, measuring.bench.dense.bytes)))
    )
    own = [row for row in rows if row.method == "transform_coding int8" and row.error is not None]
    if own:
        head = ["method", "budget", "bytes", "all, times the bound", "rotation, scales, tiers", "whole bits", "trellis"]
        print(f"\n{table(head, [measuring.split(row) for row in own])}")
    if options.output:
        _, bound = measuring.coded(max(budgets))
        sizes = [int(measuring.bench.dense.bytes * share) for share in torch.logspace(-3, -0.6, 40).tolist()]
        save(
            draw(rows, [(size, bound.at_bits(8 * size)) for size in sizes], measuring.bench.dense.bytes), options.output
        )


def lines(rows: list[Row], dense: int) -> Iterator[list[str]]:
    """The table of all rows."""
    for row in rows:
        if row.error is not None:
            budget = "-" if row.budget is None else f"{row.budget:g}"
            yield [row.method, budget, f"{row.bytes:,}", f"{100 * row.bytes / dense:.2f} %", f"{row.error:.4f}"]


if __name__ == "__main__":
    main()
