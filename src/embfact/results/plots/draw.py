"""One call for every kind of picture that a table gives."""

from __future__ import annotations

from matplotlib.figure import Figure

from embfact.results.plots import curves, pareto, retention, tasks
from embfact.results.plots.spec import Chosen, PlotSpec, choose
from embfact.results.result_table import ResultTable


def draw(table: ResultTable, spec: PlotSpec, chosen: Chosen | None = None) -> Figure:
    """Draw a table.

    Args:
        table: What `build_table` made.
        spec: What is asked for.
        chosen: What `choose` found for it, where that is known.

    Raises:
        UserError: With everything that stands in the way, a line each.
    """
    chosen = chosen or choose(table, spec)
    column = chosen.columns[0]
    if spec.kind == "curves":
        return curves.draw(table, column.data, chosen.curve)
    if spec.kind == "tasks":
        return tasks.draw(table, chosen.columns, chosen.against)
    return (retention if spec.kind == "retention" else pareto).draw(table, column, chosen.against)
