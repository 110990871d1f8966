"""What a sweep shows, in tables: every row against dense, and how far each method can be made smaller."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from embfact.formatting.markdown import escape, markdown_grid
from embfact.formatting.numbers import short
from embfact.results.plots.points import Line, dense_of, line_name, lines
from embfact.results.run_table import Column, Table, row_label
from embfact.results.statistics.compare import Comparison
from embfact.results.statistics.noninferiority import noninferior
from embfact.results.statistics.summary import common_reach, curve_area, smallest_within
from embfact.results.statistics.table_statistics import TableStatistics
from embfact.results.table.cells import UNDEFINED

TOLERANCE = 0.01  # one point


def findings(table: Table, statistics: TableStatistics, tolerance: float = TOLERANCE) -> list[str]:
    """Sections of a report, in Markdown, one for each figure of the table.

    Args:
        table: What `build_table` made.
        statistics: Of this table, against dense.
        tolerance: The loss against dense that is tolerated, as a fraction.
    """
    text: list[str] = []
    for column in table.columns:
        text += [f"### {escape(column.data.label)}: {escape(column.metric)} on {escape(column.split)}", ""]
        text += [*_compared(table, column, statistics, tolerance), *_methods(table, column, statistics, tolerance)]
    if statistics.problems:
        text += ["### What could not be compared", "", *(f"- {escape(problem)}" for problem in statistics.problems), ""]
    return text


def _compared(table: Table, column: Column, statistics: TableStatistics, tolerance: float) -> Iterator[str]:
    rows = [(place, row) for place, row in enumerate(table.rows) if (place, column) in statistics.comparisons]
    cells = []
    for place, row in rows:
        found = statistics.comparisons[place, column]
        name = table.rows[statistics.against[place, column]].label
        kept = noninferior(found, tolerance)
        cells.append(
            [
                row_label(row, table),
                "dense" if name == "none" else name,
                f"{100 * found.difference:+.2f}",
                f"{100 * found.low:+.2f} to {100 * found.high:+.2f}",
                _p_value(statistics.adjusted.get((place, column))),
                f"{100 * kept.bound:.2f}",
                "yes" if kept.holds else "no",
                str(len(found.seeds)),
            ]
        )
    if cells:
        head = ["row", "minus", "difference, points", f"{100 * found.level:g} % interval", "p (Holm)"]
        head += ["loss below, points", f"below {100 * tolerance:g}", "seeds"]
        yield from markdown_grid(head, cells, 2)
        yield ""
    for place, row in rows:
        found = statistics.comparisons[place, column]
        if not found.low > 0 and not found.high < 0:
            yield f"- {escape(row_label(row, table))}: {found.note}"
    for (place, own), told in statistics.informative.items():
        if own == column:
            yield f"- {escape(line_name(table.rows[place]))}: {told.note}"
    yield ""


def _methods(table: Table, column: Column, statistics: TableStatistics, tolerance: float) -> Iterator[str]:
    found = lines(table, column, "bytes")
    curves = {line.name: (line, _retained(line, found)) for line in found if line.place is not None}
    reach = common_reach([points for _, points in curves.values()])
    cells = []
    for label, (line, points) in curves.items():
        area = curve_area(points, reach)
        sizes = list(_sizes(table, line, column, statistics))
        smallest = smallest_within(sizes, tolerance)
        cells.append(
            [
                label,
                UNDEFINED if area is None else f"{100 * area:.1f}",
                *(_smallest(size, bool(sizes)) for size in (smallest.by_bound, smallest.by_mean)),
            ]
        )
    if cells:
        point = f"{100 * tolerance:g} point{'' if tolerance == TOLERANCE else 's'}"
        retained = f"retained, % of dense, mean over log2 compression 1x to {reach:.3g}x"
        head = ["method", retained, f"smallest with less than {point} lost, 95 % sure", "by its mean alone"]
        yield from markdown_grid(head, cells, 1)
        yield ""


def _retained(line: Line, found: list[Line]) -> list[tuple[float, float]]:
    """Compression of the embedding's bytes, and the metric as a fraction of dense."""
    dense = dense_of(line, found)
    mean = fmean(point.mean for point in dense.points) if dense else 0.0
    return [(point.ratio, point.mean / mean) for point in line.points] if mean > 0 else []


def _sizes(table: Table, line: Line, column: Column, statistics: TableStatistics) -> Iterator[tuple[float, Comparison]]:
    places = {id(row): place for place, row in enumerate(table.rows)}
    for point in line.points:
        compared = statistics.comparisons.get((places[id(point.row)], column))
        if compared is not None:
            yield point.size, compared


def _smallest(size: float | None, compared: bool) -> str:
    if not compared:
        return UNDEFINED
    return "none" if size is None else f"{short(int(size))}B"


def _p_value(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
