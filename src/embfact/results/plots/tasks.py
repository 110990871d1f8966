"""Every data set and metric of a sweep, a small picture each."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from embfact.results.plots import pareto
from embfact.results.plots.names import SMALLER, name_ends, room
from embfact.results.plots.points import MEASURES, Measure, lines
from embfact.results.plots.seeds import column_note, counted
from embfact.results.plots.style import STYLE, heading, panels, remark
from embfact.results.result_table import Column, ResultTable


@mpl.rc_context(STYLE)
def draw(table: ResultTable, columns: Sequence[Column], against: Measure = "params") -> Figure:
    """Draw several figures of a table against one size, a panel each.

    Args:
        table: What `build_table` made; of one backbone.
        columns: The metrics to draw; each has a factorized run.
        against: Which size.

    Returns:
        The figure. A method has one look in all panels.
    """
    found = [lines(table, column, against) for column in columns]
    height = max(room((line.name for line in drawn), SMALLER) for drawn in found)
    figure, grid = panels(len(columns), 4.4, max(2.6, height))
    ends = []
    for axes, column, drawn in zip(grid, columns, found, strict=True):
        ends.append((axes, pareto.panel(axes, drawn, against)))
        counts = [len(point.spread.defined) for line in drawn for point in line.points]
        axes.set_title(f"{column.data.label} {column.split} ({counted(counts)})", parse_math=False)
        axes.set_ylabel(f"{column.metric} (%)", parse_math=False)
    mean = f"mean and standard deviation over seeds against {MEASURES[against][1]}"
    heading(figure, f"{mean}; broad grey line: Pareto front of the means")
    remark(figure, dict.fromkeys(column_note(table, column) for column in columns))
    name_ends(figure, ends, size=SMALLER)
    return figure
