"""Fill a plan with figures, marks and notes.

Light to import: the standard library only, unless there are statistics.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from embfact.results.result_table import Column, ResultTable, Row, methods_or_all, row_label
from embfact.results.table.cells import UNDEFINED, figure_cell, ratio_cell, seconds_cell, size_cell
from embfact.results.table.fields import MEAN, SHARES, SIZE_FIELDS
from embfact.results.table.grid import Cell, Grid, Heading, Note, Place, Plan, SizeColumn
from embfact.results.table.layouts import LAYOUTS
from embfact.results.table.notes import Letters, sources
from embfact.results.table.request import TableRequest

if TYPE_CHECKING:
    from embfact.results.statistics.table_statistics import TableStatistics


WORSE, BETTER = "†", "*"
ALPHA = 0.05
_STAT = {
    "mean±std": "mean ± sample standard deviation over seeds",
    "ci": "mean over seeds with its 95 % confidence interval over seeds and examples, uncorrected",
    "mean": "mean over seeds",
}

Placed = Mapping[tuple[int, int], tuple[int, Column]]


@dataclass(frozen=True)
class _Sheet:
    """The sources of the cells.

    Attributes:
        placed: Row and figure of each cell of the plan.
        usual: The most seeds that a method has of a figure; dense may have more.
    """

    table: ResultTable
    plan: Plan
    request: TableRequest
    placed: Placed
    letters: Letters
    usual: Mapping[Column, int]
    statistics: TableStatistics | None


def fill(table: ResultTable, plan: Plan, request: TableRequest, statistics: TableStatistics | None = None) -> Grid:
    """The table as printed; intervals and tests need the statistics of the whole table."""
    placed = _placed(plan)
    cells = set(placed.values())
    usual = {column: _usual_seeds(table.rows, column) for column in {column for _, column in cells}}
    statistics = statistics.only(cells) if statistics else None
    sheet = _Sheet(table, plan, request, placed, Letters.of(table, cells, reasons=request.reasons), usual, statistics)
    lines = [_line(sheet, number) for number in range(len(plan.lines))]
    if request.marks_best:
        for line, place in _best(placed, lines, table, plan.across, len(plan.fields)):
            lines[line][place] = replace(lines[line][place], bold=True)
    legend = " ".join(_legend(table, plan, request, statistics))
    return Grid(
        headings=(*plan.fields, *(_heading(sheet, column) for column in plan.columns)),
        lines=tuple(map(tuple, lines)),
        notes=tuple(_notes(sheet, legend)),
        starts=_starts(table, plan),
        caption=request.caption or legend,
        label=request.label,
    )


def _usual_seeds(rows: Sequence[Row], column: Column) -> int:
    return max(len(row.spread(column).values) for row in methods_or_all(rows, column.data))


def _placed(plan: Plan) -> dict[tuple[int, int], tuple[int, Column]]:
    """The row and the figure of each cell with a figure."""
    placed = {}
    for number, line in enumerate(plan.lines):
        for place, column in enumerate(plan.columns):
            if (
                isinstance(column, Place)
                and (rows := line.rows & column.rows)
                and (found := line.columns & column.columns)
            ):
                (row,), (figure,) = rows, found  # never two: see `plan.mixed`
                placed[number, place] = row, figure
    return placed


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
    if (number, place) not in sheet.placed:
        return Cell()
    index, column = cell = sheet.placed[number, place]
    row, found, interval = sheet.table.rows[index], sheet.statistics, None
    tested: dict[str, Any] = {"missing_seeds": sorted(sheet.table.missing_seeds(row, column.data))}
    if found:
        interval = found.intervals.get(cell)
        if cell in found.comparisons:
            comparison = found.comparisons[cell]
            tested |= {"difference": comparison.difference, "p": comparison.p_value, "p_holm": found.adjusted[cell]}
    filled = figure_cell(row, column, sheet.usual[column], sheet.request.stat, interval)
    significant = sign_of(found, cell) if found and sheet.request.significance else ""
    return replace(filled, sign=significant, marks=sheet.letters.of_cell(cell), raw={**filled.raw, **tested})


def _size(sheet: _Sheet, line: Place, column: SizeColumn) -> Cell:
    (index,) = line.rows
    row = sheet.table.rows[index]
    if column.field not in SIZE_FIELDS:
        return _mean(row, column)
    data = dict.fromkeys(figure.data for figure in line.columns)
    # A line for some data sets has the sizes of its runs on them; a line for all also those of runs without figures.
    every = len(data) == len(sheet.table.data)
    runs = row.finished() if every else [run for version in data for run in row.finished(version)]
    field = SIZE_FIELDS[column.field]
    if field.against:
        return ratio_cell(runs, field.path, field.against)
    return size_cell(runs, field.path) if field.path else seconds_cell(runs)


def _mean(row: Row, mean_of: SizeColumn) -> Cell:
    """The mean over the complete tasks of a row; a task with several versions of its data is not in any mean."""
    from embfact.results.statistics.summary import GLUE, task_mean

    figures = {
        name: [row.spread(column).mean for column in columns]
        for name, columns in mean_of.tasks.items()
        if columns and len({column.data for column in columns}) == 1
    }
    of_glue = mean_of.field == MEAN or set(mean_of.tasks) <= set(GLUE)
    found = task_mean(figures, GLUE if of_glue else tuple(mean_of.tasks))
    if found.mean is None:
        return Cell(UNDEFINED)
    raw = {"mean": found.mean, "tasks": list(found.tasks), "label": found.label}
    return Cell(f"{100 * found.mean:.1f}", f"({found.label})", raw=raw)


def _heading(sheet: _Sheet, column: Place | SizeColumn) -> Heading:
    if isinstance(column, Place):
        return Heading(column.words, "figure", sheet.letters.of_place(column))
    if column.field not in SIZE_FIELDS:
        return Heading(column.words, "figure")
    field = SIZE_FIELDS[column.field]
    return Heading(column.words, "size" if field.path and not field.against else "count")


def _starts(table: ResultTable, plan: Plan) -> frozenset[int]:
    """The lines that start after a rule: at changes of the first word, or after dense if all first words differ."""
    first = [line.words[0] for line in plan.lines]
    changes = [number for number in range(1, len(first)) if first[number] != first[number - 1]]
    if len(set(first)) < len(first):
        return frozenset(changes)
    dense = [number for number, line in enumerate(plan.lines) if all(table.rows[index].dense for index in line.rows)]
    return frozenset(number + 1 for number in dense if number + 1 < len(first))


def _best(
    placed: Mapping[tuple[int, int], tuple[int, Column]],
    lines: Sequence[Sequence[Cell]],
    table: ResultTable,
    across: bool,
    words: int,
) -> Iterator[tuple[int, int]]:
    """The cells with the best figure of a column, dense excluded, including ties after rounding.

    Args:
        placed: Line and column of figures -> index of the row, and the figure.
        lines: The cells.
        table: The table.
        across: Whether methods are columns, so that the best of each line is sought.
        words: Number of leading cells that are not figures.
    """
    rivals: dict[tuple[int, Column, str], list[tuple[float, tuple[int, int]]]] = defaultdict(list)
    for (line, place), (index, column) in placed.items():
        cell, row = lines[line][words + place], table.rows[index]
        if cell.raw.get("mean") is not None and not row.dense:
            rivals[line if across else place, column, row.model].append((float(cell.main), (line, words + place)))
    for figures in rivals.values():
        if len(figures) > 1:
            top = max(value for value, _ in figures)
            yield from (where for value, where in figures if value == top)


def sign_of(statistics: TableStatistics, cell: tuple[int, Column]) -> str:
    """The sign of a cell that is significantly worse or better than its reference; empty otherwise."""
    p_value = statistics.adjusted.get(cell)
    if p_value is None or p_value >= ALPHA:
        return ""
    return WORSE if statistics.comparisons[cell].difference < 0 else BETTER


def _legend(table: ResultTable, plan: Plan, request: TableRequest, statistics: TableStatistics | None) -> Iterator[str]:
    """How to read the figures."""
    models = {row.model for row in table.rows}
    if len(models) == 1:
        yield f"Backbone: {models.pop()}."
    targets = {row.target for row in table.rows if row.asked}
    if len(targets) == 1 and any(targets):
        yield f"All sizes requested by {targets.pop()}."
    yield f"Metrics x 100, {_STAT[request.stat]}."
    shown = {column.field for column in plan.columns if isinstance(column, SizeColumn)}
    if shown - set(SIZE_FIELDS):
        yield "Means are over the available tasks, whose number is in brackets; means over other tasks do not compare."
    fields = [field for name, field in SIZE_FIELDS.items() if name in shown]
    if sizes := {field.path.partition(".")[0] for field in fields if field.path}:
        parts = {"embedding": "the token embedding (emb.)", "model": "the model"}
        named = " and of ".join(words for part, words in parts.items() if part in sizes)
        yield f"Sizes as saved, of {named}{SHARES}."
        if any(row.storage for row in table.rows):
            yield "Parameters of quantized tables are counted before quantization: compare their bytes."
    yield from dict.fromkeys(field.meaning for field in fields if field.meaning)
    if request.marks_best:
        yield "Bold: best result, dense excluded."
    if request.significance and statistics:
        tests = sum(value is not None for value in statistics.adjusted.values())
        yield (
            f"{WORSE} worse, {BETTER} better than {request.against}: test over seeds and examples, paired on examples, "
            f"p < {ALPHA} after Holm's correction for {tests} comparison{'s' * (tests != 1)}."
        )


def _perfect(sheet: _Sheet) -> Iterator[str]:
    """Comparisons whose interval has no width because nothing was predicted wrongly."""
    named: dict[tuple[Column, int, str], list[str]] = defaultdict(list)
    for (row, column), found in (sheet.statistics.comparisons if sheet.statistics else {}).items():
        if found.perfect and sheet.statistics:
            reference = sheet.statistics.against[row, column]
            named[column, reference, found.note].append(row_label(sheet.table.rows[row], sheet.table))
    for (column, reference, note), labels in named.items():
        against = row_label(sheet.table.rows[reference], sheet.table)
        yield f"{column.data.label} {column.metric} on {column.split}, {', '.join(labels)} against {against}: {note}."


def _notes(sheet: _Sheet, legend: str) -> Iterator[Note]:
    """Legend, sources of the figures shown, what is missing, and what could not be tested."""
    table, plan, letters, statistics = sheet.table, sheet.plan, sheet.letters, sheet.statistics
    yield Note(legend)
    shown = {column.data for place in plan.columns if isinstance(place, Place) for column in place.columns}
    texts = sources(table)
    for data, text in zip(table.data, texts, strict=False):
        if data in shown:
            yield Note(text, letters.data.get(data, ""))
    yield from map(Note, texts[len(table.data) :])
    for letter, remark in letters.remarks:
        yield Note(remark.text, letter)
    if layout := sheet.request.layout:
        yield Note(f"Columns as in {LAYOUTS[layout].source}: a different setting from factorizing a trained table.")
    tasks = [column.tasks for column in plan.columns if isinstance(column, SizeColumn)]
    several = {name for sets in tasks for name, found in sets.items() if len({column.data for column in found}) > 1}
    yield from (
        Note(f"{name} has several versions of its data and is not part of any mean.") for name in sorted(several)
    )
    if statistics:
        for (_, column), found in statistics.informative.items():
            if found.verdict is False and column.data in shown:
                yield Note(f"{column.data.label} {column.metric} on {column.split} is {found.note}.")
        yield from map(Note, _perfect(sheet))
        yield from (Note(f"Not computed: {problem}.") for problem in statistics.problems)
