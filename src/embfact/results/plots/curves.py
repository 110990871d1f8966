"""Learning curves: the mean over seeds and a band of one deviation; a panel for each method if there are many."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embfact.results.plots.curve_files import averaged, read_curve
from embfact.results.plots.names import SIZE, SMALLER, End, name_ends, room
from embfact.results.plots.points import line_name
from embfact.results.plots.seeds import rests_on, seed_note
from embfact.results.plots.style import STYLE, Look, heading, look, panels, remark
from embfact.results.result_table import DataVersion, ResultTable, Row, row_label

_TOGETHER = 6  # curves that can be told apart in one panel

Curve = tuple[np.ndarray, np.ndarray]


@mpl.rc_context(STYLE)
def draw(table: ResultTable, data: DataVersion, figure_name: str) -> Figure:
    """Draw what the runs on one data set logged while they trained.

    Args:
        table: What `build_table` made of runs on this machine.
        data: The data set.
        figure_name: Column of the curves' files: ``train/loss``, ``selection/accuracy``.

    Returns:
        The figure: optimizer steps against the mean over seeds.
    """
    curves = [(row, found) for row in table.rows if (found := row_curves(table, row, data, figure_name))]
    groups = _groups(curves, table)
    width, height, size = (7.2, 4.2, SIZE) if len(groups) == 1 else (3.9, 2.6, SMALLER)
    tallest = max(room((name for name, _, _ in group), size) for group in groups.values())
    figure, grid = panels(len(groups), width, max(height, tallest), alike=True)
    factor = 1 if figure_name.endswith("/loss") else 100
    ends, bins = [], 1
    for axes, (title, group) in zip(grid, groups.items(), strict=True):
        named = [_curve(axes, *one, factor) for one in group]
        ends.append((axes, [end for end, _ in named]))
        bins = max(bins, *(width for _, width in named))
        axes.set_title(title, parse_math=False)
        axes.set_xlabel("optimizer steps")
        axes.set_ylabel(figure_name.split("/", 1)[1] + ("" if factor == 1 else " (%)"), parse_math=False)
    counts = {id(row): len(found) for row, found in curves}
    title = f"{_describe(figure_name)} of {data.label}: {rests_on(counts.values())}"
    heading(figure, title + (f"; a point is the mean of up to {bins} logged values" if bins > 1 else ""))
    remark(figure, [seed_note(table, data, lambda row: counts.get(id(row), 0))])
    name_ends(figure, ends, size)
    return figure


def row_curves(table: ResultTable, row: Row, data: DataVersion, figure_name: str) -> list[Curve]:
    """Steps and values of every finished run of a row on some data whose file holds this figure."""
    places = [table.places[run.hash] for run in row.finished(data) if run.hash in table.places]
    return [found[figure_name] for place in places if figure_name in (found := read_curve(place))]


def _groups(
    curves: Sequence[tuple[Row, list[Curve]]], table: ResultTable
) -> dict[str, list[tuple[str, list[Curve], Look]]]:
    """The panels: title -> name, curves and look of each line."""
    dense = [(row, found) for row, found in curves if row.dense]
    others = [(row, found) for row, found in curves if not row.dense]
    if len(others) <= _TOGETHER:
        looks = [*(look(None) for _ in dense), *map(look, range(len(others)))]
        named = zip([*dense, *others], looks, strict=True)
        return {"": [(_name(row, table), found, own) for (row, found), own in named]}
    sizes = list(dict.fromkeys(_size(row) for row, _ in sorted(others, key=lambda pair: pair[0].ranks)))
    groups: dict[str, list[tuple[str, list[Curve], Look]]] = {}
    for row, found in others:
        beside = [(line_name(one), own, look(None)) for one, own in dense if one.comparable(row)]
        groups.setdefault(line_name(row), beside).append((_size(row), found, look(sizes.index(_size(row)))))
    alone = [(row, found) for row, found in dense if not any(row.comparable(other) for other, _ in others)]
    return groups | {line_name(row): [(line_name(row), found, look(None))] for row, found in alone}


def _curve(axes: Axes, name: str, curves: Sequence[Curve], own: Look, factor: int) -> tuple[End, int]:
    steps, means, deviations, bins = averaged(curves)
    means, deviations = factor * means, factor * deviations
    marks = max(1, len(steps) // 6)
    axes.plot(steps, means, color=own.color, linestyle=own.dash, marker=own.marker, markevery=marks, markersize=4)
    axes.fill_between(steps, means - deviations, means + deviations, color=own.color, alpha=0.15, linewidth=0)
    return End(float(steps[-1]), float(means[-1]), name, own), bins


def _name(row: Row, table: ResultTable) -> str:
    return line_name(row) if row.dense else row_label(row, table)


def _size(row: Row) -> str:
    name = "r" if row.size_name == "rank" else row.size_name
    return row.target or (f"{name}={row.ranks[0]}" if row.ranks else row.label)


def _describe(figure_name: str) -> str:
    source, name = figure_name.split("/", 1)
    return "training loss" if source == "train" else f"{name} on the held-out slice"
