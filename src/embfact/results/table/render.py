"""A table in one of the formats, or for a terminal.

Light to import: the standard library only; statistics are imported if a request needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from embfact.results.result_table import ResultTable
from embfact.results.table.fill import fill
from embfact.results.table.grid import Grid, Note
from embfact.results.table.html import html
from embfact.results.table.latex import latex
from embfact.results.table.markdown import markdown
from embfact.results.table.numbers import csv_grid, csv_rows, json_table
from embfact.results.table.plan import plan
from embfact.results.table.request import TableRequest
from embfact.results.table.terminal import OPTIONAL, fits, narrow, without_data_set

if TYPE_CHECKING:
    from embfact.results.statistics.table_statistics import TableStatistics

FORMATS: dict[str, Callable[[Grid], str]] = {
    "md": markdown,
    "latex": latex,
    "csv": csv_grid,
    "html": html,
    "json": json_table,
}
_WHOLE = TableRequest()


def render(
    table: ResultTable,
    form: str = "md",
    request: TableRequest = _WHOLE,
    statistics: TableStatistics | None = None,
    width: int | None = None,
) -> str:
    """A table as text, ending with a line break.

    Args:
        table: The table.
        form: ``md`` (aligned Markdown, also for the terminal), ``latex`` (booktabs and siunitx), ``html`` (a standalone
            page), ``csv`` or ``json`` (raw numbers).
        request: Rows, columns and marks; the default is the whole table, as CSV with a line per row and data set.
        statistics: Of this table against the requested reference; computed if needed and not given.
        width: Columns that Markdown must fit; None for any. The whole table then has the `OPTIONAL` columns that fit.

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
    grid = fill(table, made, request, statistics)
    if form != "md" or width is None:
        return FORMATS[form](grid)
    if fits(grid, width):
        return markdown(grid, width)
    # A single data set is named in the notes.
    grid = without_data_set(grid)
    for count in range(1, len(OPTIONAL) + 1) if request.whole else ():
        if fits(grid, width):
            break
        kept = [column for column in made.columns if getattr(column, "field", "") not in OPTIONAL[:count]]
        grid = without_data_set(fill(table, replace(made, columns=tuple(kept)), request, statistics))
        left_out = ", ".join(" ".join(column.words) for column in made.columns if column not in kept)
        note = Note(f"No room for {left_out}: a wider terminal has them, or python scripts/table.py DIR --output FILE.")
        grid = replace(grid, notes=(*grid.notes, note))
    return narrow(grid, width)
