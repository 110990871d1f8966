"""A metric against size: each method a line over its ranks, and the Pareto front of them all."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embfact.results.plots.names import End, name_ends, room
from embfact.results.plots.points import MEASURES, Line, Measure, Point, front, lines
from embfact.results.plots.seeds import column_note, rests_on
from embfact.results.plots.style import STYLE, heading, look, panels, remark, size_axis
from embfact.results.result_table import Column, ResultTable


@mpl.rc_context(STYLE)
def draw(table: ResultTable, column: Column, against: Measure = "params") -> Figure:
    """Draw one figure of a table against a size, with the Pareto front of the means.

    Args:
        table: What `build_table` made; of one backbone.
        column: The metric to draw, in percent, mean and sample standard deviation over seeds.
        against: Which size.

    Returns:
        The figure: size on a logarithmic axis, dense as a star and a horizontal line.
    """
    found = lines(table, column, against)
    figure, (axes,) = panels(1, 7.2, max(4.2, room(line.name for line in found)))
    ends = panel(axes, found, against)
    counts = [len(point.spread.defined) for line in found for point in line.points]
    heading(figure, f"{rests_on(counts)}; broad grey line: Pareto front of the means")
    axes.set_xlabel(MEASURES[against][1])
    axes.set_ylabel(f"{column.metric} on {column.data.label} {column.split} (%)", parse_math=False)
    remark(figure, [column_note(table, column)])
    name_ends(figure, [(axes, ends)])
    return figure


def panel(axes: Axes, found: list[Line], against: Measure) -> list[End]:
    """Draw lines and front into a panel.

    Args:
        axes: The panel.
        found: What `lines` gave.
        against: Which size they are drawn against.

    Returns:
        The ends of the lines, to be named.
    """
    points = [point for line in found for point in line.points]
    smallest, largest = min(point.size for point in points), max(point.size for point in points)
    axes.set_xlim(smallest / 1.15, largest * 1.15)
    _front(axes, front(points), largest * 1.15)
    ends = [_dense(axes, line) if line.place is None else _line(axes, line) for line in found]
    size_axis(axes, "B" if against.endswith("bytes") else "")
    return ends


def _line(axes: Axes, line: Line) -> End:
    own = look(line.place)
    sizes, means, errors = _values(line.points)
    axes.errorbar(sizes, means, errors, color=own.color, marker=own.marker, linestyle=own.dash, elinewidth=0.9)
    return End(sizes[-1], means[-1], line.name, own)


def _dense(axes: Axes, line: Line) -> End:
    own = look(None)
    sizes, means, errors = _values(line.points)
    axes.axhline(means[0], color=own.color, linewidth=0.8, zorder=1)
    axes.errorbar(sizes, means, errors, color=own.color, marker=own.marker, markersize=8, elinewidth=0.9)
    return End(sizes[-1], means[-1], f"{line.name} {means[0]:.1f}", own)


def _front(axes: Axes, points: list[Point], largest: float) -> None:
    sizes, means, _ = _values(points)
    # As a step: between two sizes only the smaller one can be had.
    axes.step([*sizes, largest], [*means, means[-1]], where="post", color="0.82", linewidth=4, zorder=0.9)


def _values(points: list[Point] | tuple[Point, ...]) -> tuple[list[float], list[float], list[float]]:
    sizes = [point.size for point in points]
    return sizes, [100 * point.mean for point in points], [100 * point.std for point in points]
