"""A plan filled with figures, marks and notes.

Light to import: the standard library only, unless there are statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from embfact.results.run_table import Column, DataVersion, Row, Table
from embfact.results.table.cells import UNDEFINED, figure_cell, seconds_cell, size_cell
from embfact.results.table.fields import MEAN, SIZE_FIELDS
from embfact.results.table.grid import Cell, Grid, Heading, Place, Plan, SizeColumn
from embfact.results.table.legend import legend, notes
from embfact.results.table.marks import Letters, best, shown_only, sign
from embfact.results.table.request import Request

if TYPE_CHECKING:
    from embfact.results.statistics.table_statistics import TableStatistics

Met = Mapping[tuple[int, int], tuple[int, Column]]


@dataclass(frozen=True)
class _Sheet:
    """What the cells are filled from.

    Attributes:
        met: Which row and figure meet in a cell of the plan.
        usual: The most seeds that a row has of a figure.
        tried: The seeds that were tried on a data set for a model.
    """

    table: Table
    plan: Plan
    request: Request
    met: Met
    letters: Letters
    usual: Mapping[Column, int]
    tried: Mapping[tuple[DataVersion, str], set[int]]
    statistics: TableStatistics | None


def fill(table: Table, plan: Plan, request: Request, statistics: TableStatistics | None = None) -> Grid:
    """The table as it is printed.

    Args:
        table: Where the figures are.
        plan: Where they stand.
        request: What stands in a cell, and the marks.
        statistics: Of the whole table; needed for intervals and tests.
    """
    met = _met(plan)
    cells = set(met.values())
    usual = {
        column: max(len(row.spread(column).values) for row in table.rows) for column in {column for _, column in cells}
    }
    models = {row.model for row in table.rows}
    tried = {(data, model): table.seeds(data, model) for data in table.data for model in models}
    statistics = shown_only(statistics, cells) if statistics else None
    sheet = _Sheet(table, plan, request, met, Letters.of(table, cells), usual, tried, statistics)
    lines = [_line(sheet, number) for number in range(len(plan.lines))]
    if request.marks_best:
        for line, place in best(met, lines, table, plan.across, len(plan.fields)):
            lines[line][place] = replace(lines[line][place], bold=True)
    words = legend(table, plan, request, statistics)
    return Grid(
        headings=(*plan.fields, *(_heading(sheet, column) for column in plan.columns)),
        lines=tuple(map(tuple, lines)),
        notes=tuple(notes(table, plan, request, sheet.letters, words, statistics)),
        starts=_starts(table, plan),
        caption=request.caption or words,
        label=request.label,
    )


def _met(plan: Plan) -> dict[tuple[int, int], tuple[int, Column]]:
    """The one row and the one figure that meet in each cell with a figure."""
    met = {}
    for number, line in enumerate(plan.lines):
        for place, column in enumerate(plan.columns):
            if (
                isinstance(column, Place)
                and (rows := line.rows & column.rows)
                and (found := line.columns & column.columns)
            ):
                (row,), (figure,) = rows, found  # never two: see `embfact.results.table.plan.mixed`
                met[number, place] = row, figure
    return met


def _line(sheet: _Sheet, number: int) -> list[Cell]:
    line = sheet.plan.lines[number]
    words = [Cell(word) for word in line.words]
    words[-1] = replace(words[-1], marks=sheet.letters.of_place(line))
    cells = [
        _size(sheet, line, column) if isinstance(column, SizeColumn) else _figure(sheet, number, place)
        for place, column in enumerate(sheet.plan.columns)
    ]
    blank = Cell(sheet.plan.blank)
    return [*words, *(cell if cell.main else replace(blank, marks=cell.marks, raw=cell.raw) for cell in cells)]


def _figure(sheet: _Sheet, number: int, place: int) -> Cell:
    if (number, place) not in sheet.met:
        return Cell()
    index, column = cell = sheet.met[number, place]
    row, found, interval = sheet.table.rows[index], sheet.statistics, None
    seeds = sheet.tried[column.data, row.model] - {run.seed for run in row.finished(column.data)}
    tested: dict[str, Any] = {"missing_seeds": sorted(seeds)}
    if found:
        interval = found.intervals.get(cell)
        if cell in found.comparisons:
            comparison = found.comparisons[cell]
            tested |= {"difference": comparison.difference, "p": comparison.p_value, "p_holm": found.adjusted[cell]}
    filled = figure_cell(row, column, sheet.usual[column], sheet.request.stat, interval)
    significant = sign(found, cell) if found and sheet.request.significance else ""
    return replace(filled, sign=significant, marks=sheet.letters.of_cell(cell), raw={**filled.raw, **tested})


def _size(sheet: _Sheet, line: Place, column: SizeColumn) -> Cell:
    (index,) = line.rows
    row = sheet.table.rows[index]
    if column.field not in SIZE_FIELDS:
        return _mean(row, column)
    data = dict.fromkeys(figure.data for figure in line.columns)
    # A line of some data sets has the sizes of its runs on them; a line of all also those of runs without a figure.
    every = len(data) == len(sheet.table.data)
    runs = row.finished() if every else [run for version in data for run in row.finished(version)]
    path = SIZE_FIELDS[column.field][1]
    return size_cell(runs, path) if path else seconds_cell(runs)


def _mean(row: Row, mean_of: SizeColumn) -> Cell:
    """The mean over the tasks that a row has whole; a task that stands for several versions of its data is in none."""
    from embfact.results.statistics.summary import GLUE, glue_mean

    figures = {
        name: [row.spread(column).mean for column in columns]
        for name, columns in mean_of.tasks.items()
        if columns and len({column.data for column in columns}) == 1
    }
    if mean_of.field == MEAN or set(mean_of.tasks) <= set(GLUE):
        found = glue_mean(figures)
        mean, over, label = found.mean, list(found.tasks), found.label
    else:
        whole = {name: [v for v in values if v is not None] for name, values in figures.items() if None not in values}
        mean = fmean(map(fmean, whole.values())) if whole else None
        over, label = list(whole), f"{len(whole)} of {len(mean_of.tasks)}"
    if mean is None:
        return Cell(UNDEFINED)
    return Cell(f"{100 * mean:.1f}", f"({label})", raw={"mean": mean, "tasks": over, "label": label})


def _heading(sheet: _Sheet, column: Place | SizeColumn) -> Heading:
    if isinstance(column, Place):
        return Heading(column.words, "figure", sheet.letters.of_place(column))
    if column.field not in SIZE_FIELDS:
        return Heading(column.words, "figure")
    return Heading(column.words, "size" if SIZE_FIELDS[column.field][1] else "count")


def _starts(table: Table, plan: Plan) -> frozenset[int]:
    """Where a rule is drawn: between groups of lines with one first word; where each has its own, behind dense."""
    first = [line.words[0] for line in plan.lines]
    changes = [number for number in range(1, len(first)) if first[number] != first[number - 1]]
    if len(set(first)) < len(first):
        return frozenset(changes)
    dense = [number for number, line in enumerate(plan.lines) if all(table.rows[index].dense for index in line.rows)]
    return frozenset(number + 1 for number in dense if number + 1 < len(first))
