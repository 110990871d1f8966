"""What a picture of sizes shows: the rows of a table as points, joined to a line for each method.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import fmean
from typing import Literal

from embfact.results.result_table import Column, ResultTable, Row, Spread

Measure = Literal["params", "bytes", "model_params", "model_bytes"]
# Where the size is in `RunRecord.size` and in `RunRecord.size.dense`, and what an axis calls it.
MEASURES: dict[Measure, tuple[str, str]] = {
    "params": ("embedding.parameters", "parameters of the token embedding"),
    "bytes": ("embedding.bytes", "bytes of the token embedding"),
    "model_params": ("model.parameters", "parameters of the model"),
    "model_bytes": ("model.bytes", "bytes of the model"),
}


@dataclass(frozen=True)
class Point:
    """One row of a table in a picture.

    Attributes:
        row: The row.
        size: Parameters or bytes, the mean over seeds where one energy gives several sizes.
        dense_size: The same of the dense model.
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
    """The points of one method and setting, the smallest first.

    Attributes:
        name: What the picture calls it.
        place: Its number among the methods of the whole table, which decides its look; None for dense.
        points: At least one.
    """

    name: str
    place: int | None
    points: tuple[Point, ...]


def line_name(row: Row) -> str:
    """Rows of one name differ in nothing but their size, and in what a search chose for it."""
    name = f"dense{row.label[4:]}" if row.dense else row.label
    return f"{name} ({row.options})" if row.options else name


def lines(table: ResultTable, column: Column, against: Measure) -> list[Line]:
    """The lines of a picture: dense first, then the methods in the order of the table.

    Args:
        table: What `build_table` made; of one backbone.
        column: The figure that is drawn; rows without it are left out.
        against: Which size.
    """
    names = dict.fromkeys(line_name(row) for row in table.rows if not row.dense)
    places = {name: place for place, name in enumerate(names)}
    groups: dict[str, list[Point]] = defaultdict(list)
    for row in table.rows:
        spread = row.spread(column)
        if spread.mean is not None:
            groups[line_name(row)].append(Point(row, *_sizes(row, column, against), spread))
    return [
        Line(name, places.get(name), tuple(sorted(points, key=attrgetter("size")))) for name, points in groups.items()
    ]


def usual_measure(table: ResultTable) -> Measure:
    """Parameters, or bytes where those of some table lie: quantizing leaves their number, and codes are none."""
    return "bytes" if any(_parameters_lie(row) for row in table.rows) else "params"


def front(points: Iterable[Point]) -> list[Point]:
    """The Pareto front: points that no other one reaches with fewer parameters or bytes, the smallest first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda one: (one.size, -one.mean)):
        if not kept or point.mean > kept[-1].mean:
            kept.append(point)
    return kept


def dense_of(line: Line, found: Sequence[Line]) -> Line | None:
    """The dense line that a line is compared with; None if there is no single one of its conditions.

    Args:
        line: Of a method.
        found: All lines of the picture.
    """
    row = line.points[0].row
    same = [one for one in found if one.place is None and one.points[0].row.comparable(row)]
    return same[0] if len(same) == 1 else None


def _sizes(row: Row, column: Column, against: Measure) -> tuple[float, float]:
    get = attrgetter(MEASURES[against][0])
    sizes = [run.size for run in row.finished(column.data) if run.size is not None]
    return fmean(get(size) for size in sizes), fmean(get(size.dense) for size in sizes)


def _parameters_lie(row: Row) -> bool:
    """Whether a parameter of the embedding takes clearly more or fewer bytes than one of the dense table."""
    size = next((run.size for run in row.finished() if run.size is not None), None)
    if size is None:
        return False
    small, dense = size.embedding, size.dense.embedding
    return abs(small.bytes * dense.parameters - small.parameters * dense.bytes) > small.parameters * dense.bytes / 10
