"""Names of lines, written beside their ends: never on each other, never on the frame."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import offset_copy
from scipy.optimize import isotonic_regression

from embfact.results.plots.style import Look

SIZE, SMALLER = 8, 7  # of the letters in one panel and in several, in points
_LETTERS = 26  # of a name in one line
_REACH = 16  # points from the frame to the marker before a name
_GAP = 7  # points from that marker to the name
_LINE = 1.35  # height of a line in sizes of its letters


@dataclass(frozen=True)
class End:
    """Where a line ends in its panel, and what it is called.

    Attributes:
        x: Right end, in the units of the panel.
        y: The same.
        name: The words.
        look: Colour and marker, both shown beside the name.
    """

    x: float
    y: float
    name: str
    look: Look


def room(names: Iterable[str], size: float = SIZE) -> float:
    """How high a panel must be to name its lines, in inches, with what stands above and below it."""
    return 1.0 + _LINE * size / 72 * sum(len(_wrapped(name).splitlines()) for name in names)


def name_ends(figure: Figure, ends: Sequence[tuple[Axes, Sequence[End]]], size: float = SIZE) -> None:
    """Write names to the right of each panel, as near to the ends as they can be without touching each other.

    Must come last: the places of all else are settled by it.

    Args:
        figure: The figure.
        ends: For each panel the ends of its lines.
        size: Of the letters, in points.
    """
    texts = [[_text(axes, end, size) for end in found] for axes, found in ends]
    figure.draw_without_rendering()
    # From here on nothing may move, or the names would no longer stand where they were placed.
    figure.set_layout_engine("none")
    for (axes, found), written in zip(ends, texts, strict=True):
        box = axes.get_window_extent()
        fractions = [axes.transAxes.inverted().transform(axes.transData.transform((end.x, end.y))) for end in found]
        line = _LINE * size / 72 * figure.dpi / box.height
        heights = [line * len(text.get_text().splitlines()) for text in written]
        places = spread([float(y) for _, y in fractions], heights)
        for end, (x, y), text, place in zip(found, fractions, written, places, strict=True):
            text.xy = (1, place)
            _lead(axes, end.look, (float(x), float(y)), place)


def spread(wanted: Sequence[float], heights: Sequence[float], low: float = 0.0, high: float = 1.0) -> list[float]:
    """Centres of labels, as near to where they are wanted as they can be without covering each other.

    Least squares with the order kept: an isotonic regression.

    Args:
        wanted: Where each centre should be.
        heights: How high each label is.
        low: Lower end of the room.
        high: Upper end; labels that need more room than there is go beyond both ends alike.

    Returns:
        The centres, in the order of `wanted`.
    """
    if not wanted:
        return []
    order = np.argsort(wanted, kind="stable")
    tall = np.asarray(heights, dtype=float)[order]
    below = np.array([0.0, *accumulate(tall)][:-1]) + tall / 2
    free = isotonic_regression(np.asarray(wanted, dtype=float)[order] - below).x
    room = high - float(tall.sum())
    kept = np.clip(free, low, room) if room >= low else np.full_like(free, (low + room) / 2)
    places = np.empty(len(order))
    places[order] = kept + below
    return [float(place) for place in places]


def _text(axes: Axes, end: End, size: float) -> Annotation:
    return axes.annotate(
        _wrapped(end.name),
        (1, 0.5),
        xycoords="axes fraction",
        xytext=(_REACH + _GAP, 0),
        textcoords="offset points",
        va="center_baseline",
        linespacing=1.0,
        fontsize=size,
        annotation_clip=False,
        parse_math=False,
    )


def _lead(axes: Axes, look: Look, end: tuple[float, float], place: float) -> None:
    """A thin line from the end of a line to its name, which begins with the line's marker."""
    figure = axes.get_figure(root=True)
    beside = offset_copy(axes.transAxes, figure, x=_REACH, units="points")
    away = axes.transAxes.inverted().transform(beside.transform((1, place)))[0]
    style: dict[str, Any] = {"color": look.color, "clip_on": False, "transform": axes.transAxes}
    axes.add_artist(Line2D([end[0], 1, away], [end[1], end[1], place], linewidth=0.6, alpha=0.6, zorder=1, **style))
    axes.add_artist(Line2D([away], [place], marker=look.marker, markersize=5, **style))


def _wrapped(name: str) -> str:
    return "\n".join(textwrap.wrap(name, _LETTERS))
