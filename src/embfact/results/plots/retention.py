"""The retained share of the dense metric against the compression ratio."""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embfact.results.plots.names import End, inner_width, name_ends, room
from embfact.results.plots.pareto import draw_baseline, draw_line, hollow_note, labelled_baselines
from embfact.results.plots.points import MEASURES, Line, Measure, dense_of, lines
from embfact.results.plots.seeds import column_note, describe_seeds
from embfact.results.plots.sizes import rank_axis, shift_note, shifts
from embfact.results.plots.style import STYLE, heading, look, panels, remark, size_axis, ylabel
from embfact.results.result_table import Column, ResultTable


@mpl.rc_context(STYLE)
def draw(table: ResultTable, column: Column, against: Measure = "params") -> Figure:
    """Draw the share of the dense mean that each method retains, against dense size divided by size.

    Args:
        table: A table of one backbone, with dense runs.
        column: The metric; means and deviations are divided by the mean of dense.
        against: The size of the compression ratio.

    Returns:
        The figure: ratio on a log2 axis, dense as a band at 100 %.
    """
    found = lines(table, column, against)
    drawn = [(line, base) for line in found if line.number is not None and (base := dense_of(line, found))]
    bases = list({base.name: base for _, base in drawn}.values())
    known = labelled_baselines(table, column)
    names = ["dense", *known, *(line.name for line, _ in drawn)]
    figure, (axes,) = panels(1, 7.2, max(4.2, room(names)))
    width = inner_width(axes, names)
    ratios = [point.ratio for line, _ in drawn for point in line.points]
    size_axis(axes, "x", min(1, *ratios), max(1, *ratios), width, base=2)
    for base in bases:
        _band(axes, base)
    moved = shifts([line for line, _ in drawn])
    ends = [End(1, 100, "dense", look(None)), *(_line(axes, *pair, column, moved[pair[0].name]) for pair in drawn)]
    for name, value in known.items():
        ends.append(draw_baseline(axes, max(ratios), [100 * value / base.points[0].mean for base in bases], name))
    rank_axis(axes, [(point.ratio, point.row) for line, _ in drawn for point in line.points], width)
    counts = [len(point.spread.defined) for line in [*bases, *(line for line, _ in drawn)] for point in line.points]
    of_what = "dense" if len(bases) == 1 else "the dense runs with the same options"
    shares = f"{describe_seeds(counts)}, as a share of the mean of {of_what}"
    heading(figure, shares + hollow_note([line for line, _ in drawn], [column], front=False) + shift_note(moved))
    axes.set_xlabel(f"compression ratio: {MEASURES[against][1]}, dense / factorized")
    ylabel(axes, f"{column.metric} on {column.data.label} {column.split} (% of dense)")
    alone = [line.name for line in found if line.number is not None and dense_of(line, found) is None]
    left_out = f"left out, since no dense run has their options: {', '.join(alone)}" if alone else ""
    remark(figure, [column_note(table, column), left_out])
    name_ends(figure, [(axes, ends)])
    return figure


def _line(axes: Axes, line: Line, dense: Line, column: Column, shift: float) -> End:
    whole = dense.points[0].mean
    points = line.points[::-1]
    ratios = [point.ratio for point in points]
    means, errors = [100 * point.mean / whole for point in points], [100 * point.std / whole for point in points]
    draw_line(axes, replace(line, points=points), column, (ratios, means, errors), shift)
    return End(ratios[-1], means[-1], line.name, look(line.number, line.variant))


def _band(axes: Axes, dense: Line) -> None:
    own, point = look(None), dense.points[0]
    deviation = 100 * point.std / point.mean
    axes.axhspan(100 - deviation, 100 + deviation, color=own.color, alpha=0.1, linewidth=0)
    axes.axhline(100, color=own.color, linewidth=0.8, zorder=1)
    axes.plot([1], [100], color=own.color, marker=own.marker, markersize=8)
