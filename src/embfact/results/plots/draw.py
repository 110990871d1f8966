"""One call for every kind of picture that a table gives."""

from __future__ import annotations

from matplotlib.figure import Figure

from embfact.results.plots import curves, pareto, retention, tasks
from embfact.results.plots.wish import Chosen, Wish, choose
from embfact.results.run_table import Table


def draw(table: Table, wish: Wish, chosen: Chosen | None = None) -> Figure:
    """Draw a table.

    Args:
        table: What `build_table` made.
        wish: What is asked for.
        chosen: What `choose` found for it, where that is known.

    Raises:
        UserError: With everything that stands in the way, a line each.
    """
    chosen = chosen or choose(table, wish)
    column = chosen.columns[0]
    if wish.kind == "curves":
        return curves.draw(table, column.data, chosen.curve)
    if wish.kind == "tasks":
        return tasks.draw(table, chosen.columns, chosen.against)
    return (retention if wish.kind == "retention" else pareto).draw(table, column, chosen.against)
