"""A metric against size: a line per method over its ranks, and the Pareto front; one panel, or one per metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embfact.results.chance import BASELINES, baselines, learned_nothing
from embfact.results.plots.names import SMALLER, End, name_ends, room
from embfact.results.plots.points import MEASURES, Line, Measure, Point, front, lines
from embfact.results.plots.seeds import column_note, counted, describe_seeds
from embfact.results.plots.style import BASELINE, STYLE, Look, heading, look, panels, remark, size_axis
from embfact.results.result_table import Column, ResultTable


@mpl.rc_context(STYLE)
def draw(table: ResultTable, column: Column, against: Measure = "params") -> Figure:
    """Draw a metric of a table of one backbone against size, with the Pareto front of the means.

    The metric is in percent, mean and sample standard deviation over seeds; size is on a logarithmic axis; dense is a
    star and a horizontal line.
    """
    found, known = lines(table, column, against), labelled_baselines(table, column)
    figure, (axes,) = panels(1, 7.2, max(4.2, room([*known, *(line.name for line in found)])))
    ends = _panel(axes, found, column, known, against)
    counts = [len(point.spread.defined) for line in found for point in line.points]
    heading(
        figure, f"{describe_seeds(counts)}; broad grey line: Pareto front of the means{hollow_note(found, [column])}"
    )
    axes.set_xlabel(MEASURES[against][1])
    axes.set_ylabel(f"{column.metric} on {column.data.label} {column.split} (%)", parse_math=False)
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
        ends.append((axes, _panel(axes, drawn, column, beside, against)))
        counts = [len(point.spread.defined) for line in drawn for point in line.points]
        axes.set_title(f"{column.data.label} {column.split} ({counted(counts)})", parse_math=False)
        axes.set_ylabel(f"{column.metric} (%)", parse_math=False)
    mean = f"mean and standard deviation over seeds against {MEASURES[against][1]}"
    every = [line for drawn in found for line in drawn]
    heading(figure, f"{mean}; broad grey line: Pareto front of the means{hollow_note(every, columns)}")
    remark(figure, dict.fromkeys(column_note(table, column) for column in columns))
    name_ends(figure, ends, size=SMALLER)
    return figure


def _panel(axes: Axes, found: list[Line], column: Column, known: Mapping[str, float], against: Measure) -> list[End]:
    """Draw lines, baselines and front into a panel; returns the ends of the lines."""
    points = [point for line in found for point in line.points]
    smallest, largest = min(point.size for point in points), max(point.size for point in points)
    axes.set_xlim(smallest / 1.15, largest * 1.15)
    _front(axes, front(points), largest * 1.15)
    ends = [_dense(axes, line) if line.number is None else _line(axes, line, column) for line in found]
    for name, value in known.items():
        ends.append(draw_baseline(axes, largest, 100 * value, name))
    size_axis(axes, "B" if against.endswith("bytes") else "")
    return ends


def _line(axes: Axes, line: Line, column: Column) -> End:
    own = look(line.number, line.variant)
    sizes, means, errors = _values(line.points)
    axes.errorbar(sizes, means, errors, color=own.color, marker=own.marker, linestyle=own.dash, elinewidth=0.9)
    pairs = zip(sizes, means, line.points, strict=True)
    draw_hollow(axes, own, [(x, y) for x, y, point in pairs if learned_nothing(point.row, column)])
    return End(sizes[-1], means[-1], line.name, own)


def _dense(axes: Axes, line: Line) -> End:
    own = look(None)
    sizes, means, errors = _values(line.points)
    axes.axhline(means[0], color=own.color, linewidth=0.8, zorder=1)
    axes.errorbar(sizes, means, errors, color=own.color, marker=own.marker, markersize=8, elinewidth=0.9)
    return End(sizes[-1], means[-1], f"{line.name} {means[0]:.1f}", own)


def labelled_baselines(table: ResultTable, column: Column) -> dict[str, float]:
    """Label -> figure of what a model has to beat."""
    return {BASELINES[name]: value for name, value in baselines(table.rows, column).items()}


def draw_baseline(axes: Axes, x: float, y: float, name: str) -> End:
    """A dotted line across a panel: what a model has to beat, in percent."""
    axes.axhline(y, color=BASELINE.color, linestyle=BASELINE.dash, linewidth=1, zorder=0.8)
    return End(x, y, f"{name} {y:.1f}", BASELINE)


def draw_hollow(axes: Axes, own: Look, points: Sequence[tuple[float, float]]) -> None:
    """Empty the markers of rows that are not above the majority class."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    axes.plot(xs, ys, color=own.color, marker=own.marker, markerfacecolor="white", linestyle="none", zorder=3)


def hollow_note(found: Iterable[Line], columns: Sequence[Column]) -> str:
    """What hollow markers say, if there are any."""
    rows = [point.row for line in found if line.number is not None for point in line.points]
    hollow = any(learned_nothing(row, column) for row in rows for column in columns)
    return "; hollow: not above the majority class on any seed" if hollow else ""


def _front(axes: Axes, points: list[Point], largest: float) -> None:
    sizes, means, _ = _values(points)
    # A step function: between two sizes, only the smaller one is available.
    axes.step([*sizes, largest], [*means, means[-1]], where="post", color="0.82", linewidth=4, zorder=0.9)


def _values(points: list[Point] | tuple[Point, ...]) -> tuple[list[float], list[float], list[float]]:
    sizes = [point.size for point in points]
    return sizes, [100 * point.mean for point in points], [100 * point.std for point in points]
