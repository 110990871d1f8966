"""A metric against size: a line per method over its ranks, and the Pareto front; one panel, or one per metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embfact.results.chance import BASELINES, baselines, learned_nothing
from embfact.results.plots.names import SMALLER, End, inner_width, name_ends, room
from embfact.results.plots.points import MEASURES, Line, Measure, Point, front, lines
from embfact.results.plots.seeds import column_note, counted, describe_seeds
from embfact.results.plots.sizes import rank_axis, shift_note, shifted, shifts
from embfact.results.plots.style import BASELINE, STYLE, heading, look, panels, remark, size_axis, title, ylabel
from embfact.results.result_table import Column, ResultTable


@mpl.rc_context(STYLE)
def draw(table: ResultTable, column: Column, against: Measure = "params") -> Figure:
    """Draw a metric of a table of one backbone against size, with the Pareto front of the means.

    The metric is in percent, mean and sample standard deviation over seeds; size is on a logarithmic axis; dense is a
    star and a horizontal line.
    """
    found, known = lines(table, column, against), labelled_baselines(table, column)
    names = [*known, *(line.name for line in found)]
    figure, (axes,) = panels(1, 7.2, max(4.2, room(names)))
    ends = _panel(axes, found, column, known, against, inner_width(axes, names))
    counts = [len(point.spread.defined) for line in found for point in line.points]
    notes = f"; broad grey line: Pareto front of the means{hollow_note(found, [column])}{shift_note(shifts(found))}"
    heading(figure, describe_seeds(counts) + notes)
    axes.set_xlabel(MEASURES[against][1])
    ylabel(axes, f"{column.metric} on {column.data.label} {column.split} (%)")
    remark(figure, [column_note(table, column)])
    name_ends(figure, [(axes, ends)])
    return figure


@mpl.rc_context(STYLE)
def draw_tasks(table: ResultTable, columns: Sequence[Column], against: Measure = "params") -> Figure:
    """Draw several metrics of a table of one backbone against size, a panel each; a method looks the same in all."""
    found = [lines(table, column, against) for column in columns]
    known = [labelled_baselines(table, column) for column in columns]
    pairs = list(zip(found, known, strict=True))
    height = max(room([*beside, *(line.name for line in drawn)], SMALLER) for drawn, beside in pairs)
    figure, grid = panels(len(columns), 4.4, max(2.6, height))
    ends = []
    for axes, column, (drawn, beside) in zip(grid, columns, pairs, strict=True):
        width = inner_width(axes, [*beside, *(line.name for line in drawn)], SMALLER)
        ends.append((axes, _panel(axes, drawn, column, beside, against, width)))
        counts = [len(point.spread.defined) for line in drawn for point in line.points]
        title(axes, f"{column.data.label} {column.split} ({counted(counts)})")
        ylabel(axes, f"{column.metric} (%)")
    mean = f"mean and standard deviation over seeds against {MEASURES[against][1]}"
    every = [line for drawn in found for line in drawn]
    moved = {name: by for drawn in found for name, by in shifts(drawn).items() if by}
    notes = hollow_note(every, columns) + shift_note(moved)
    heading(figure, f"{mean}; broad grey line: Pareto front of the means{notes}")
    remark(figure, dict.fromkeys(column_note(table, column) for column in columns))
    name_ends(figure, ends, size=SMALLER)
    return figure


def _panel(
    axes: Axes, found: list[Line], column: Column, known: Mapping[str, float], against: Measure, width: float
) -> list[End]:
    """Draw lines, baselines and front into a panel; returns the ends of the lines."""
    points = [point for line in found for point in line.points]
    smallest, largest = min(point.size for point in points), max(point.size for point in points)
    size_axis(axes, "B" if against.endswith("bytes") else "", smallest, largest, width)
    _front(axes, front(point for point in points if not learned_nothing(point.row, column)), axes.get_xlim()[1])
    moved = shifts(found)
    ends = []
    for line in found:
        ends.append((_dense if line.number is None else _line)(axes, line, column, moved[line.name]))
    for name, value in known.items():
        ends.append(draw_baseline(axes, largest, [100 * value], name))
    rank_axis(axes, [(point.size, point.row) for line in found for point in line.points], width)
    return ends


def _line(axes: Axes, line: Line, column: Column, shift: float) -> End:
    sizes, means, errors = _values(line.points)
    draw_line(axes, line, column, (sizes, means, errors), shift)
    return End(sizes[-1], means[-1], line.name, look(line.number, line.variant))


def draw_line(
    axes: Axes, line: Line, column: Column, values: tuple[list[float], list[float], list[float]], shift: float
) -> None:
    """Draw the points of a line with error bars; hollow where a row is not above the majority class.

    Args:
        axes: The panel.
        line: Its points are drawn.
        column: The metric.
        values: Place, mean and deviation of each point.
        shift: How far the line is moved to the right, in points.
    """
    own, place = look(line.number, line.variant), shifted(axes, shift)
    style: dict[str, Any] = {"color": own.color, "marker": own.marker, "transform": place}
    axes.errorbar(*values, linestyle=own.dash, elinewidth=0.9, **style)
    hollow = [pair for *pair, _, point in zip(*values, line.points, strict=True) if learned_nothing(point.row, column)]
    include(axes, values)
    xs, ys = [x for x, _ in hollow], [y for _, y in hollow]
    axes.plot(xs, ys, markerfacecolor="white", linestyle="none", zorder=3, **style)


def include(axes: Axes, values: tuple[list[float], list[float], list[float]]) -> None:
    """Make the vertical axis reach over all error bars: matplotlib does not see those of a moved line."""
    axes.update_datalim([(x, y + side * error) for x, y, error in zip(*values, strict=True) for side in (-1, 1)])
    axes.autoscale_view(scalex=False)


def _dense(axes: Axes, line: Line, _: Column, shift: float) -> End:
    own = look(None)
    sizes, means, errors = _values(line.points)
    axes.axhline(means[0], color=own.color, linewidth=0.8, zorder=1)
    style: dict[str, Any] = {"marker": own.marker, "markersize": 8, "transform": shifted(axes, shift)}
    axes.errorbar(sizes, means, errors, color=own.color, elinewidth=0.9, **style)
    include(axes, (sizes, means, errors))
    return End(sizes[-1], means[-1], f"{line.name} {means[0]:.1f}", own)


def labelled_baselines(table: ResultTable, column: Column) -> dict[str, float]:
    """Label -> figure of what a model has to beat."""
    return {BASELINES[name]: value for name, value in baselines(table.rows, column).items()}


def draw_baseline(axes: Axes, x: float, values: Sequence[float], name: str) -> End:
    """Dotted lines across a panel: what a model has to beat, in percent; several if it is a share of several runs."""
    low, high = min(values), max(values)
    for value in {low, high}:
        axes.axhline(value, color=BASELINE.color, linestyle=BASELINE.dash, linewidth=1, zorder=0.8)
    words = f"{low:.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f}"
    return End(x, (low + high) / 2, f"{name} {words}", BASELINE)


def hollow_note(found: Iterable[Line], columns: Sequence[Column], *, front: bool = True) -> str:
    """What hollow markers say, if there are any; `front`: whether there is a Pareto front, which leaves them out."""
    rows = [point.row for line in found if line.number is not None for point in line.points]
    hollow = any(learned_nothing(row, column) for row in rows for column in columns)
    words = "; hollow: not above the majority class on any seed" + (", and not in the front" if front else "")
    return words if hollow else ""


def _front(axes: Axes, points: list[Point], largest: float) -> None:
    if not points:
        return
    sizes, means, _ = _values(points)
    # A step function: between two sizes, only the smaller one is available.
    axes.step([*sizes, largest], [*means, means[-1]], where="post", color="0.82", linewidth=4, zorder=0.9)


def _values(points: list[Point] | tuple[Point, ...]) -> tuple[list[float], list[float], list[float]]:
    sizes = [point.size for point in points]
    return sizes, [100 * point.mean for point in points], [100 * point.std for point in points]
