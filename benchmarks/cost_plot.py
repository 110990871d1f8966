"""The picture of `cost_curves.py`: a panel for each curve, all with the same slope for the same growth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from embfact.results.plots.style import COLORS

if TYPE_CHECKING:
    from cost_curves import Measured
    from matplotlib.axes import Axes

SPAN = 24.0  # both axes of every panel reach over this factor, so that slopes can be compared by eye


def draw(curves: Sequence[Measured]) -> Figure:
    """Draw measured seconds with their spread, and the expected line dashed; all axes logarithmic.

    Args:
        curves: What was measured, a panel each.
    """
    figure = Figure(figsize=(3.6 * len(curves), 3.9), layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for panel, measured in zip(panels, curves, strict=True):
        _panel(panel, measured)
    figure.suptitle("Training an epoch: seconds of its steps, median, least and most", x=0.01, ha="left", fontsize=10)
    return figure


def _panel(axes: Axes, measured: Measured) -> None:
    x, medians = measured.x, measured.medians
    spread = [
        [middle - min(values) for middle, values in zip(medians, measured.seconds, strict=True)],
        [max(values) - middle for middle, values in zip(medians, measured.seconds, strict=True)],
    ]
    axes.plot(x, measured.expected, color="0.25", linestyle="--", linewidth=1.2, zorder=3)
    axes.errorbar(x, medians, spread, color=COLORS[0], marker="o", linewidth=1.6, capsize=3)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*_around(x))
    axes.set_ylim(*_around(medians))
    axes.set_xticks(x, [f"{value:,.0f}" if value >= 10 else f"{value:.1f}" for value in x])
    seconds = _ticks(*axes.get_ylim())
    axes.set_yticks(seconds, [f"{value:g}" for value in seconds])
    axes.minorticks_off()
    axes.set_xlabel(measured.curve.axis)
    axes.set_ylabel("seconds")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9")
    own, predicted = measured.slopes
    middle = len(x) // 2
    _name(axes, (x[middle], max(measured.seconds[middle])), f"measured, slope {own:.2f}", COLORS[0], above=True)
    _name(axes, (x[middle], min(measured.seconds[middle])), f"expected, slope {predicted:.2f}", "0.25", above=False)


def _around(values: Sequence[float]) -> tuple[float, float]:
    """Limits of an axis with the values in the middle."""
    middle, half = math.sqrt(min(values) * max(values)), max(SPAN, 2 * max(values) / min(values)) ** 0.5
    return middle / half, middle * half


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten in a range."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return [value for value in values if low <= value <= high]


def _name(axes: Axes, place: tuple[float, float], words: str, color: str, *, above: bool) -> None:
    """Write the name of a line above and left of a point, or below and right of it: lines rise, if anything."""
    offset, side = ((0, 12), "right") if above else ((4, -20), "left")
    axes.annotate(words, place, xytext=offset, textcoords="offset points", ha=side, color=color, fontsize=9)
