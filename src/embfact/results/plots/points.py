"""The content of plots against size: rows of a table as points, joined to a line per method.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import fmean
from typing import Literal

from embfact.results.looks import looks_of
from embfact.results.result_table import Column, ResultTable, Row, Spread

Measure = Literal["params", "bytes", "model_params", "model_bytes"]
# Attribute path in `RunRecord.size` and in `RunRecord.size.dense`, and axis label.
MEASURES: dict[Measure, tuple[str, str]] = {
    "params": ("embedding.parameters", "parameters of the token embedding"),
    "bytes": ("embedding.bytes", "bytes of the token embedding"),
    "model_params": ("model.parameters", "parameters of the model"),
    "model_bytes": ("model.bytes", "bytes of the model"),
}


@dataclass(frozen=True)
class Point:
    """One row of a table in a plot.

    Attributes:
        row: The row.
        size: Parameters or bytes; the mean over seeds if one energy gives several sizes.
        dense_size: The size of the dense model.
        spread: The metric over seeds, as a fraction.
    """

    row: Row
    size: float
    dense_size: float
    spread: Spread

    @property
    def mean(self) -> float:
        """Mean of the metric, as a fraction."""
        return self.spread.mean or 0.0

    @property
    def std(self) -> float:
        """Sample standard deviation of the metric; 0 for a single seed, which has no error bar."""
        return self.spread.std or 0.0

    @property
    def ratio(self) -> float:
        """How many times smaller it is than dense."""
        return self.dense_size / self.size


@dataclass(frozen=True)
class Line:
    """The points of one method and setting, by ascending size.

    Attributes:
        name: Label in the plot.
        number: That of the method, which decides colour and marker (`embfact.results.looks`); None for dense.
        variant: Index among the lines of the method in the whole table, which decides the dash.
        points: At least one.
    """

    name: str
    number: int | None
    variant: int
    points: tuple[Point, ...]


def line_name(row: Row) -> str:
    """The label of a row; rows with the same label differ only in size and in what a search chose for it."""
    name = f"dense{row.label[4:]}" if row.dense else row.label
    return f"{name} ({row.options})" if row.options else name


def lines(table: ResultTable, column: Column, against: Measure) -> list[Line]:
    """The lines of a plot: dense first, then the methods in table order; rows without the figure are omitted."""
    looks = line_looks(table.rows)
    groups: dict[str, list[Point]] = defaultdict(list)
    for row in table.rows:
        spread = row.spread(column)
        if spread.mean is not None:
            groups[line_name(row)].append(Point(row, *_sizes(row, column, against), spread))
    dense: tuple[int | None, int] = (None, 0)
    return [
        Line(name, *looks.get(name, dense), points=tuple(sorted(points, key=attrgetter("size"))))
        for name, points in groups.items()
    ]


def line_looks(rows: Iterable[Row]) -> dict[str, tuple[int, int]]:
    """Name of each line of a method -> number and variant; dense lines have a look of their own."""
    methods: dict[str, str] = {line_name(row): row.method for row in rows if not row.dense}
    return dict(zip(methods, looks_of(list(methods.values())), strict=True))


def usual_measure(table: ResultTable) -> Measure:
    """Parameters, or bytes if parameters mislead: quantization keeps their number, and codes are not counted."""
    return "bytes" if any(_parameters_mislead(row) for row in table.rows) else "params"


def front(points: Iterable[Point]) -> list[Point]:
    """The Pareto front, by ascending size: points that no smaller point matches."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda one: (one.size, -one.mean)):
        if not kept or point.mean > kept[-1].mean:
            kept.append(point)
    return kept


def dense_of(line: Line, found: Sequence[Line]) -> Line | None:
    """The dense line to compare a method's line with; None unless exactly one of the lines has its conditions."""
    row = line.points[0].row
    same = [one for one in found if one.number is None and one.points[0].row.comparable(row)]
    return same[0] if len(same) == 1 else None


def _sizes(row: Row, column: Column, against: Measure) -> tuple[float, float]:
    get = attrgetter(MEASURES[against][0])
    sizes = [run.size for run in row.finished(column.data) if run.size is not None]
    return fmean(get(size) for size in sizes), fmean(get(size.dense) for size in sizes)


def _parameters_mislead(row: Row) -> bool:
    """Whether the embedding has clearly more or fewer bytes per parameter than the dense table."""
    size = next((run.size for run in row.finished() if run.size is not None), None)
    if size is None:
        return False
    small, dense = size.embedding, size.dense.embedding
    return abs(small.bytes * dense.parameters - small.parameters * dense.bytes) > small.parameters * dense.bytes / 10
