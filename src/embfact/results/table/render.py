"""A table in one of the formats; Markdown, which is also the terminal output, is rendered here.

Light to import: the standard library only; statistics are imported if a request needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from embfact.formatting.markdown import aligned, escape
from embfact.results.result_table import ResultTable
from embfact.results.table.fill import fill
from embfact.results.table.grid import Cell, Grid, Heading
from embfact.results.table.html import html
from embfact.results.table.latex import latex
from embfact.results.table.numbers import csv_grid, csv_rows, json_table
from embfact.results.table.plan import plan
from embfact.results.table.request import TableRequest

if TYPE_CHECKING:
    from embfact.results.statistics.table_statistics import TableStatistics

_RAISED = str.maketrans("abcdefghijklmnoprstuvwxyz", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ")


def _markdown(grid: Grid) -> str:
    """The table with figures aligned at the decimal point, and its notes as a list."""
    columns = [_column(heading, [line[place] for line in grid.lines]) for place, heading in enumerate(grid.headings)]
    header, *lines = zip(*columns, strict=True)
    words = sum(heading.kind == "words" for heading in grid.headings)
    notes = [f"- {f'{_raised(note.mark)} ' if note.mark else ''}{escape(note.text)}" for note in grid.notes]
    title = [escape(grid.caption), ""] if grid.caption != grid.notes[0].text else []
    return "\n".join([*title, *aligned(header, lines, words), "", *notes]) + "\n"


def _column(heading: Heading, cells: Sequence[Cell]) -> list[str]:
    """Heading and cells of a column, with figures padded so that the text after them is aligned too."""
    title = escape(heading.text) + _raised(heading.marks)
    if heading.kind != "figure":
        return [title, *(_joined(escape(cell.main), cell) for cell in cells)]
    bold = any(cell.bold for cell in cells)
    mains = [f"{cell.count}**{cell.main}**" if cell.bold else cell.count + cell.main + "  " * bold for cell in cells]
    rests = [_joined("", cell) for cell in cells]
    width = max(map(len, rests))
    return [title, *(main + rest.ljust(width) for main, rest in zip(mains, rests, strict=True))]


def _joined(main: str, cell: Cell) -> str:
    return main + (f" {cell.rest}" if cell.rest else "") + cell.sign.replace("*", r"\*") + _raised(cell.marks)


def _raised(letters: str) -> str:
    return letters.translate(_RAISED)


FORMATS: dict[str, Callable[[Grid], str]] = {
    "md": _markdown,
    "latex": latex,
    "csv": csv_grid,
    "html": html,
    "json": json_table,
}
_WHOLE = TableRequest()


def render(
    table: ResultTable, form: str = "md", request: TableRequest = _WHOLE, statistics: TableStatistics | None = None
) -> str:
    """A table as text, ending with a line break.

    Args:
        table: The table.
        form: ``md`` (aligned Markdown, also for the terminal), ``latex`` (booktabs and siunitx), ``html`` (a standalone
            page), ``csv`` or ``json`` (raw numbers).
        request: Rows, columns and marks; the default is the whole table, as CSV with a line per row and data set.
        statistics: Of this table against the requested reference; computed if needed and not given.

    Raises:
        ValueError: If the format is unknown.
        ConfigError: With every part of the request that the table does not have.
    """
    if form not in FORMATS:
        raise ValueError(f"unknown format {form!r}; use one of: {', '.join(FORMATS)}")
    made = plan(table, request)
    if request.tested and statistics is None:
        from embfact.results.statistics.table_statistics import table_statistics

        statistics = table_statistics(table, request.against)
    if form == "csv" and request.whole:
        shown = [column for column in table.columns if column.metric in request.metrics or not request.metrics]
        return csv_rows(table, shown, statistics)
    return FORMATS[form](fill(table, made, request, statistics))
