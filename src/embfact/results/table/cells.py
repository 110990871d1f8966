"""The figures of a table formatted for reading: rounded, in percent, with units.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from statistics import fmean
from typing import Any

from embfact.formatting.numbers import with_share
from embfact.results.result_table import Column, Row
from embfact.results.table.grid import Cell
from embfact.runs.record import RunRecord, SizePart

UNDEFINED = "\u2013"  # an en dash, as in print


def rank_range(ranks: Sequence[int]) -> str:
    """A rank, or the range of several: ``64``, ``57 to 61``; empty without ranks."""
    return " to ".join(map(str, dict.fromkeys([*ranks[:1], *ranks[-1:]])))


def figure_cell(row: Row, column: Column, usual: int, stat: str, interval: tuple[float, float] | None) -> Cell:
    """A metric over the seeds of a row, x 100.

    Args:
        row: The row.
        column: The metric.
        usual: Number of seeds in other rows of this column; a different number is shown in the cell.
        stat: ``mean±std``, ``ci`` or ``mean``.
        interval: Interval of the mean for ``ci``, if there is one.
    """
    spread = row.spread(column)
    failed = len(row.failed(column.data))
    raw: dict[str, Any] = {"mean": spread.mean, "std": spread.std, "n": len(spread.defined), "failed_runs": failed}
    raw |= {"values": dict(spread.values)} | dict(zip(("low", "high"), interval or (), strict=False))
    if not spread.values:
        return Cell("failed", raw=raw) if failed else Cell()
    if spread.mean is None:
        return Cell(UNDEFINED, raw=raw)
    rest = ""
    if stat == "mean±std" and spread.std is not None:
        rest = f"± {100 * spread.std:.1f}"
    elif stat == "ci" and interval:
        rest = f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"
    count = len(spread.defined)
    return Cell(f"{100 * spread.mean:.1f}", rest, f"(n={count}) " if count != usual else "", raw=raw)


def size_cell(runs: Sequence[RunRecord], path: str) -> Cell:
    """A size with its share of dense; a range if data sets differ visibly, nothing if no record has it."""
    unit = "B" if path.endswith("bytes") else ""
    # Dense is as it is saved: what becomes of it after compression, or in memory, is not recorded.
    dense = f"{path.partition('.')[0]}.{'bytes' if unit else 'parameters'}"
    found = {(attrgetter(path)(run.size), attrgetter(dense)(run.size.dense)) for run in runs if run.size}
    pairs = sorted(pair for pair in found if pair[0] is not None)
    shown = dict.fromkeys(with_share(size, dense, unit) for size, dense in pairs)
    texts = list(shown)
    raw = {"sizes": [size for size, _ in pairs], "dense": [dense for _, dense in pairs]}
    if len(texts) == 1:
        size, _, share = texts[0].partition(" ")
        return Cell(size, share, raw=raw)
    return Cell(f"{texts[0]} to {texts[-1]}", raw=raw) if texts else Cell()


def ratio(size: SizePart, path: str, number_bytes: int) -> float:
    """How many times smaller a size is than the dense table in numbers of some bytes."""
    return number_bytes * size.dense.embedding.parameters / float(attrgetter(path)(size))


def ratio_cell(runs: Sequence[RunRecord], path: str, number_bytes: int) -> Cell:
    """How many times smaller a size is than the dense table; a range if data sets differ visibly."""
    ratios = sorted({ratio(run.size, path, number_bytes) for run in runs if run.size})
    texts = list(dict.fromkeys(f"{value:.1f}x" if value >= 1 else f"{value:.2f}x" for value in ratios))
    return Cell(" to ".join(dict.fromkeys([*texts[:1], *texts[-1:]])), raw={"ratios": ratios}) if texts else Cell()


def mean_seconds(runs: Sequence[RunRecord]) -> float | None:
    """Mean wall time of whole runs in seconds; None without runs."""
    return fmean(run.seconds.total for run in runs) if runs else None


def seconds_cell(runs: Sequence[RunRecord]) -> Cell:
    """Mean wall time of whole runs."""
    seconds = mean_seconds(runs)
    if seconds is None:
        return Cell()
    return Cell(f"{seconds:.1f}" if seconds < 100 else f"{seconds:,.0f}", raw={"seconds": seconds})
