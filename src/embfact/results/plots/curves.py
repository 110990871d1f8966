"""Learning curves: mean over seeds with a band of one standard deviation; a panel per method if there are many."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embfact.results.looks import looks_of
from embfact.results.plots.names import SIZE, SMALLER, End, name_ends, room
from embfact.results.plots.pareto import draw_baseline, labelled_baselines
from embfact.results.plots.points import line_looks, line_name
from embfact.results.plots.seeds import describe_seeds, names_of, seed_note
from embfact.results.plots.style import STYLE, Look, heading, look, panels, remark, step_axis, title, ylabel
from embfact.results.result_table import DataVersion, ResultTable, Row, row_label
from embfact.runs.curve import Curve, read_curves

_TOGETHER = 6  # curves that are distinguishable in one panel
_SHOWN = 20  # points per curve; single batches are noise


@mpl.rc_context(STYLE)
def draw(table: ResultTable, data: DataVersion, figure_name: str) -> Figure:
    """Draw one learning curve of the runs on a data set: the mean over seeds against optimizer steps.

    Args:
        table: A table of runs on this machine.
        data: The data set.
        figure_name: Name of the curve: ``train/loss``, ``selection/accuracy``.
    """
    every = [(row, found) for row in table.rows if (found := row_curves(table, row, data, figure_name))]
    curves = [(row, found) for row, found in every if shortest(found) > 1]
    single = [row_label(row, table) for row, found in every if shortest(found) <= 1]
    groups = _groups(curves, table)
    factor = 1 if figure_name.endswith("/loss") else 100
    source, name = figure_name.split("/", 1)
    known = _beaten(table, data, name) if source == "selection" else {}
    width, height, size = (7.2, 4.2, SIZE) if len(groups) == 1 else (3.9, 2.6, SMALLER)
    tallest = max(room([*known, *(name for name, _, _ in group)], size) for group in groups.values())
    figure, grid = panels(len(groups), width, max(height, tallest), alike=True)
    ends, bins = [], 1
    first = min(float(averaged(found)[0][0]) for _, found in curves)
    for axes, (panel, group) in zip(grid, groups.items(), strict=True):
        named = [_curve(axes, *one, factor) for one in group]
        bins = max(bins, *(width for _, width in named))
        last = max(end.x for end, _ in named)
        baselines = [draw_baseline(axes, last, [factor * value], words) for words, value in known.items()]
        ends.append((axes, [*(end for end, _ in named), *baselines]))
        title(axes, panel)
        axes.set_xlabel("optimizer steps")
        ylabel(axes, name + ("" if factor == 1 else " (%)"))
    for axes in grid:
        step_axis(axes, first, max(end.x for _, named in ends for end in named))
    counts = {id(row): len(found) for row, found in curves}
    described = "training loss" if source == "train" else f"{name} on the held-out slice"
    words = f"{described} of {data.label}: {describe_seeds(counts.values())}"
    heading(figure, words + (f"; a point is the mean of up to {bins} logged values" if bins > 1 else ""))
    alone = f"one value only, which is no curve: {names_of(single)}" if single else ""
    remark(figure, [seed_note(table, data, lambda row: counts.get(id(row), 0)), alone])
    name_ends(figure, ends, size)
    return figure


def row_curves(table: ResultTable, row: Row, data: DataVersion, figure_name: str) -> list[Curve]:
    """The curve of every finished run of a row on a data set that has it."""
    places = [table.places[run.hash] for run in row.finished(data) if run.hash in table.places]
    return [found[figure_name] for place in places if figure_name in (found := read_curves(place))]


def shortest(curves: Sequence[Curve]) -> int:
    """Number of values that the curves of all seeds have."""
    return min(len(steps) for steps, _ in curves)


def averaged(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Mean and standard deviation over seeds, up to the end of the shortest curve.

    The n-th values of all seeds are averaged: batches of equally many tokens give epochs of slightly different length.

    Returns:
        Steps, means and sample standard deviations (0 for one seed), each of shape (points,); and how many consecutive
        values were averaged per point.
    """
    length = shortest(curves)
    width = -(-length // _SHOWN)
    # Parts of nearly equal width: single values beside means would look as if the training became unstable.
    parts = np.array_split(np.arange(length), length // width)
    steps, values = (
        np.array([[np.asarray(curve[axis])[part].mean() for part in parts] for curve in curves]) for axis in (0, 1)
    )
    deviations = values.std(0, ddof=1) if len(curves) > 1 else np.zeros(len(parts))
    return steps.mean(0), values.mean(0), deviations, len(parts[0])


def _groups(
    curves: Sequence[tuple[Row, list[Curve]]], table: ResultTable
) -> dict[str, list[tuple[str, list[Curve], Look]]]:
    """The panels: title -> label, curves and look of each line."""
    dense = [(row, found) for row, found in curves if row.dense]
    others = [(row, found) for row, found in curves if not row.dense]
    if len(others) <= _TOGETHER:
        own = [look(*pair) for pair in looks_of([row.method for row, _ in others])]
        named = zip([*dense, *others], [*(look(None) for _ in dense), *own], strict=True)
        label = {id(row): line_name(row) if row.dense else row_label(row, table) for row, _ in curves}
        return {"": [(label[id(row)], found, own) for (row, found), own in named]}
    sizes = list(dict.fromkeys(_size(row) for row, _ in sorted(others, key=lambda pair: pair[0].ranks)))
    groups: dict[str, list[tuple[str, list[Curve], Look]]] = {}
    looks = line_looks(table.rows)
    for row, found in others:
        beside = [(line_name(one), own, look(None)) for one, own in dense if one.comparable(row)]
        number, _ = looks[line_name(row)]
        groups.setdefault(line_name(row), beside).append((_size(row), found, look(number, sizes.index(_size(row)))))
    alone = [(row, found) for row, found in dense if not any(row.comparable(other) for other, _ in others)]
    return groups | {line_name(row): [(line_name(row), found, look(None))] for row, found in alone}


def _beaten(table: ResultTable, data: DataVersion, metric: str) -> dict[str, float]:
    """What a model has to beat, measured on the first reported split that has the metric."""
    column = next((one for one in table.columns if (one.data, one.metric) == (data, metric)), None)
    if column is None:
        return {}
    return {f"{name} on {column.split}": value for name, value in labelled_baselines(table, column).items()}


def _curve(axes: Axes, name: str, curves: Sequence[Curve], own: Look, factor: int) -> tuple[End, int]:
    steps, means, deviations, bins = averaged(curves)
    means, deviations = factor * means, factor * deviations
    marks = max(1, len(steps) // 6)
    axes.plot(steps, means, color=own.color, linestyle=own.dash, marker=own.marker, markevery=marks, markersize=4)
    axes.fill_between(steps, means - deviations, means + deviations, color=own.color, alpha=0.15, linewidth=0)
    return End(float(steps[-1]), float(means[-1]), name, own), bins


def _size(row: Row) -> str:
    name = "r" if row.size_name == "rank" else row.size_name
    return row.target or (f"{name}={row.ranks[0]}" if row.ranks else row.label)
