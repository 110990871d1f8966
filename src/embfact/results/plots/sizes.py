"""Points of equal size: moved apart, so that each is seen, and their rank written above them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import exp, log
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.transforms import Transform, offset_copy

from embfact.results.plots.points import Line
from embfact.results.plots.style import SMALL, text_width
from embfact.results.result_table import Row
from embfact.results.table.cells import rank_range

_ALIKE = log(1.03)  # sizes closer than that are drawn as equal
_APART, _MOST = 4.5, 26.0  # points between two neighbours, and between the first and the last


def shifts(found: Sequence[Line]) -> Mapping[str, float]:
    """How far each line is moved to the side, in points, so that points of equal size stand beside each other."""
    moved = {}
    for line in found:
        group = [other for other in found if other is line or _meet(line, other)]
        step = min(_APART, _MOST / max(1, len(group) - 1))
        moved[line.name] = step * (group.index(line) - (len(group) - 1) / 2)
    return moved


def shift_note(moved: Mapping[str, float]) -> str:
    """What the heading says of it."""
    return "; points of equal size stand side by side" if any(moved.values()) else ""


def shifted(axes: Axes, points: float) -> Transform:
    """Data coordinates, moved to the right."""
    return offset_copy(axes.transData, axes.get_figure(root=True), x=points, units="points")


def rank_axis(axes: Axes, points: Iterable[tuple[float, Row]], width: float) -> None:
    """Write the ranks above a panel: once for points that stand at the same place of a logarithmic axis.

    Args:
        axes: The finished panel.
        points: Place and row of each point that has a rank.
        width: Width of the axis in inches; names that would cover each other are written in several lines.
    """
    ordered = sorted((log(place), rank) for place, row in points if (rank := _rank(row)))
    if not ordered:
        return
    groups = [[ordered[0]]]
    for before, one in pairwise(ordered):
        if one[0] - before[0] < _ALIKE:
            groups[-1].append(one)
        else:
            groups.append([one])
    centres = [fmean(place for place, _ in group) for group in groups]
    names = [_name(rank for _, rank in group) for group in groups]
    low, high = map(log, axes.get_xlim())
    ends: list[float] = []  # of the last name in each line
    for number, (centre, name) in enumerate(zip(centres, names, strict=True)):
        half, middle = text_width(f"{name} ", SMALL) / 2, (centre - low) / (high - low) * width
        line = next((line for line, end in enumerate(ends) if end <= middle - half), len(ends))
        ends[line : line + 1] = [middle + half]
        names[number] = name + "\n" * line
    above = axes.secondary_xaxis("top")
    above.set_xticks(list(map(exp, centres)), names)
    above.tick_params(length=0, pad=1, labelsize=SMALL, labelcolor="0.35")
    above.spines["top"].set_visible(False)
    above.minorticks_off()


def _meet(one: Line, other: Line) -> bool:
    return any(abs(log(a.size / b.size)) < _ALIKE for a in one.points for b in other.points)


def _rank(row: Row) -> str:
    if not row.ranks:
        return ""
    ranks = rank_range(row.ranks)
    return f"r={ranks}" if row.size_name == "rank" else f"{ranks} {row.size_name}"


def _name(ranks: Iterable[str]) -> str:
    names = list(dict.fromkeys(ranks))
    return ", ".join(names[:2]) + (", ..." if len(names) > 2 else "")
