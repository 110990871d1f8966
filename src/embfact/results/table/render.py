"""A table in one of the formats, laid out as it was asked for.

Light to import: the standard library only; statistics come with a request that needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from embfact.results.result_table import ResultTable
from embfact.results.table.fill import fill
from embfact.results.table.grid import Grid
from embfact.results.table.html import html
from embfact.results.table.latex import latex
from embfact.results.table.markdown import markdown
from embfact.results.table.numbers import csv_grid, csv_rows, json_table
from embfact.results.table.plan import plan
from embfact.results.table.request import TableRequest

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
    table: ResultTable, form: str = "md", request: TableRequest = _WHOLE, statistics: TableStatistics | None = None
) -> str:
    """A table as text.

    Args:
        table: What `build_table` made.
        form: ``md`` (aligned Markdown, for the terminal too), ``latex`` (booktabs and siunitx), ``html`` (a page by
            itself), ``csv`` or ``json`` (raw numbers).
        request: Rows, columns and marks; without any choice the whole table, as CSV a line for every row and data set.
        statistics: Of this table against the reference of the request; computed, where it needs them and they are None.

    Returns:
        The text, which ends with a line break.

    Raises:
        ValueError: If there is no such format.
        ConfigError: If the request asks for what the table does not have; every error at once.
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
