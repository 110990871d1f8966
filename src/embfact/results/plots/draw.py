"""Draw any kind of plot of a table."""

from __future__ import annotations

from matplotlib.figure import Figure

from embfact.results.plots import curves, pareto, retention
from embfact.results.plots.spec import Chosen, PlotSpec, choose
from embfact.results.result_table import ResultTable


def draw(table: ResultTable, spec: PlotSpec, chosen: Chosen | None = None) -> Figure:
    """Draw a table; `chosen` is the result of `choose`, if known.

    Raises:
        UserError: With every problem of the spec, one per line.
    """
    chosen = chosen or choose(table, spec)
    column = chosen.columns[0]
    if spec.kind == "curves":
        return curves.draw(table, column.data, chosen.curve)
    if spec.kind == "tasks":
        return pareto.draw_tasks(table, chosen.columns, chosen.against)
    return (retention if spec.kind == "retention" else pareto).draw(table, column, chosen.against)
