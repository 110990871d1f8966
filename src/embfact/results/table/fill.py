"""A plan filled with figures, marks and notes.

Light to import: the standard library only, unless there are statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from embfact.results.result_table import Column, ResultTable, Row, methods_or_all
from embfact.results.table.cells import UNDEFINED, figure_cell, seconds_cell, size_cell
from embfact.results.table.fields import MEAN, SIZE_FIELDS
from embfact.results.table.grid import Cell, Grid, Heading, Note, Place, Plan, SizeColumn
from embfact.results.table.layouts import LAYOUTS
from embfact.results.table.marks import ALPHA, BETTER, WORSE, Letters, best, shown_only, sign
from embfact.results.table.notes import sources
from embfact.results.table.request import TableRequest

if TYPE_CHECKING:
    from embfact.results.statistics.table_statistics import TableStatistics


_STAT = {
    "mean±std": "mean ± sample standard deviation over seeds",
    "ci": "mean over seeds and its 95 % confidence interval over seeds and examples, uncorrected",
    "mean": "mean over seeds",
}

Met = Mapping[tuple[int, int], tuple[int, Column]]


@dataclass(frozen=True)
class _Sheet:
    """What the cells are filled from.

    Attributes:
        met: Which row and figure meet in a cell of the plan.
        usual: The most seeds that a method has of a figure; dense may have more.
    """

    table: ResultTable
    plan: Plan
    request: TableRequest
    met: Met
    letters: Letters
    usual: Mapping[Column, int]
    statistics: TableStatistics | None


def fill(table: ResultTable, plan: Plan, request: TableRequest, statistics: TableStatistics | None = None) -> Grid:
    """The table as it is printed.

    Args:
        table: Where the figures are.
        plan: Where they stand.
        request: What stands in a cell, and the marks.
        statistics: Of the whole table; needed for intervals and tests.
    """
    met = _met(plan)
    cells = set(met.values())
    usual = {column: _usual_seeds(table.rows, column) for column in {column for _, column in cells}}
    statistics = shown_only(statistics, cells) if statistics else None
    sheet = _Sheet(table, plan, request, met, Letters.of(table, cells), usual, statistics)
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


def _usual_seeds(rows: Sequence[Row], column: Column) -> int:
    return max(len(row.spread(column).values) for row in methods_or_all(rows, column.data))


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
    tested: dict[str, Any] = {"missing_seeds": sorted(sheet.table.missing_seeds(row, column.data))}
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


def _starts(table: ResultTable, plan: Plan) -> frozenset[int]:
    """Where a rule is drawn: between groups of lines with one first word; where each has its own, behind dense."""
    first = [line.words[0] for line in plan.lines]
    changes = [number for number in range(1, len(first)) if first[number] != first[number - 1]]
    if len(set(first)) < len(first):
        return frozenset(changes)
    dense = [number for number, line in enumerate(plan.lines) if all(table.rows[index].dense for index in line.rows)]
    return frozenset(number + 1 for number in dense if number + 1 < len(first))


def legend(table: ResultTable, plan: Plan, request: TableRequest, statistics: TableStatistics | None) -> str:
    """How to read the figures, in a paragraph."""
    return " ".join([*_backbone(table), *_figures(plan, request), *_sizes(table, plan), *_marks(request, statistics)])


def notes(
    table: ResultTable,
    plan: Plan,
    request: TableRequest,
    letters: Letters,
    words: str,
    statistics: TableStatistics | None,
) -> Iterator[Note]:
    """What stands below a table: legend, sources of the figures shown, what is missing, what could not be tested."""
    yield Note(words)
    shown = {column.data for place in plan.columns if isinstance(place, Place) for column in place.columns}
    told = sources(table)
    for data, text in zip(table.data, told, strict=False):
        if data in shown:
            yield Note(text, letters.data.get(data, ""))
    yield from map(Note, told[len(table.data) :])
    for letter, remark in letters.remarks:
        yield Note(remark.text, letter)
    if request.layout:
        yield Note(f"Columns as in {LAYOUTS[request.layout].source}: another setting than factorizing a trained table.")
    yield from (Note(_unmeant(name)) for name in sorted(_several(plan)))
    if statistics:
        for (_, column), found in statistics.informative.items():
            if found.verdict is False and column.data in shown:
                yield Note(f"{column.data.label} {column.metric} on {column.split} is {found.note}.")
        yield from (Note(f"Not computed: {problem}.") for problem in statistics.problems)


def _backbone(table: ResultTable) -> Iterator[str]:
    models = {row.model for row in table.rows}
    if len(models) == 1:
        yield f"Backbone: {models.pop()}."
    targets = {row.target for row in table.rows if row.asked}
    if len(targets) == 1 and any(targets):
        yield f"Every size asked for by {targets.pop()}."


def _figures(plan: Plan, request: TableRequest) -> Iterator[str]:
    yield f"Metrics x 100, {_STAT[request.stat]}."
    if any(isinstance(column, SizeColumn) and column.field not in SIZE_FIELDS for column in plan.columns):
        yield "Mean over the tasks that are there, in brackets how many; over other tasks it does not compare."


def _sizes(table: ResultTable, plan: Plan) -> Iterator[str]:
    shown = {column.field for column in plan.columns if isinstance(column, SizeColumn)}
    if shown & {name for name, (_, path) in SIZE_FIELDS.items() if path}:
        yield "Sizes as saved, of the token embedding (emb.) and of the model, in brackets as a share of dense."
        if any(row.storage for row in table.rows):
            yield "Quantized tables count the parameters that they had before: compare their bytes."
    if "seconds" in shown:
        yield "Seconds: mean of a whole run."


def _marks(request: TableRequest, statistics: TableStatistics | None) -> Iterator[str]:
    if request.marks_best:
        yield "Bold: the best, dense apart."
    if request.significance and statistics:
        tests = sum(value is not None for value in statistics.adjusted.values())
        yield (
            f"{WORSE} worse, {BETTER} better than {request.against}: test over seeds and examples, paired on examples, "
            f"p < {ALPHA} after Holm's correction for {tests} comparison{'s' * (tests != 1)}."
        )


def _several(plan: Plan) -> set[str]:
    tasks = [column.tasks for column in plan.columns if isinstance(column, SizeColumn)]
    return {name for sets in tasks for name, found in sets.items() if len({column.data for column in found}) > 1}


def _unmeant(name: str) -> str:
    return f"{name} stands for several versions of its data and is in no mean."
