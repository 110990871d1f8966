"""Labels beside the ends of lines, placed without overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import offset_copy
from scipy.optimize import isotonic_regression

from embfact.results.plots.style import Look, cell_of, text_width, wrapped

SIZE, SMALLER = 8, 7  # font size with one panel and with several, in points
_WIDTH = 0.2  # inches per line of a label, times its font size
_REACH = 16  # points from the frame to the marker of a label
_GAP = 7  # points from the marker to the label
_LINE = 1.35  # line height in font sizes


@dataclass(frozen=True)
class End:
    """The right end of a line in data coordinates, its label, and the look shown beside the label."""

    x: float
    y: float
    name: str
    look: Look


def room(names: Iterable[str], size: float = SIZE) -> float:
    """Height that a panel needs for the labels of its lines, in inches, including title and axis labels."""
    return 1.0 + _LINE * size / 72 * sum(len(_lines(name, size).splitlines()) for name in names)


def inner_width(axes: Axes, names: Iterable[str], size: float = SIZE) -> float:
    """About the width that is left of a panel between its vertical axis and the labels of its lines, in inches."""
    longest = max((text_width(line, size) for name in names for line in _lines(name, size).splitlines()), default=0.0)
    return cell_of(axes)[0] - longest - (_REACH + _GAP) / 72 - 0.8


def name_ends(figure: Figure, ends: Sequence[tuple[Axes, Sequence[End]]], size: float = SIZE) -> None:
    """Label the lines to the right of each panel, as close to their ends as possible without overlap.

    Must be called last, since it freezes the layout.

    Args:
        figure: The figure.
        ends: The ends of the lines of each panel.
        size: Font size in points.
    """
    style: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "center_baseline"}
    style |= {"linespacing": 1.0, "fontsize": size, "annotation_clip": False, "parse_math": False}
    texts = [
        [axes.annotate(_lines(end.name, size), (1, 0.5), xytext=(_REACH + _GAP, 0), **style) for end in found]
        for axes, found in ends
    ]
    figure.draw_without_rendering()
    figure.set_layout_engine(None)  # the labels are placed for the current layout
    for (axes, found), written in zip(ends, texts, strict=True):
        box = axes.get_window_extent()
        fractions = [axes.transAxes.inverted().transform(axes.transData.transform((end.x, end.y))) for end in found]
        line = _LINE * size / 72 * figure.dpi / box.height
        heights = [line * len(text.get_text().splitlines()) for text in written]
        places = spread([float(y) for _, y in fractions], heights)
        for end, (_, y), text, place in zip(found, fractions, written, places, strict=True):
            text.xy = (1, place)
            _lead(axes, end.look, float(y), place)


def spread(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Centres of labels between 0 and 1, as close as possible to the wanted positions without overlap.

    The least-squares solution with the order kept: an isotonic regression.

    Args:
        wanted: Wanted position of each centre.
        heights: Height of each label; labels that need more room exceed both limits equally.

    Returns:
        The centres, in the order of `wanted`.
    """
    if not wanted:
        return []
    order = np.argsort(wanted, kind="stable")
    tall = np.asarray(heights, dtype=float)[order]
    below = np.array([0.0, *accumulate(tall)][:-1]) + tall / 2
    free = isotonic_regression(np.asarray(wanted, dtype=float)[order] - below).x
    room = 1 - float(tall.sum())
    kept = np.clip(free, 0, room) if room >= 0 else np.full_like(free, room / 2)
    places = np.empty(len(order))
    places[order] = kept + below
    return [float(place) for place in places]


def _lead(axes: Axes, look: Look, height: float, place: float) -> None:
    """The marker of a line before its label, and a grey leader outside the panel, which nobody takes for data."""
    figure = axes.get_figure(root=True)
    beside = offset_copy(axes.transAxes, figure, x=_REACH, units="points")
    away = axes.transAxes.inverted().transform(beside.transform((1, place)))[0]
    style: dict[str, Any] = {"clip_on": False, "transform": axes.transAxes}
    axes.add_artist(Line2D([1, away], [height, place], color="0.75", linewidth=0.6, zorder=1, **style))
    axes.add_artist(Line2D([away], [place], color=look.color, marker=look.marker, markersize=5, **style))


def _lines(name: str, size: float) -> str:
    return wrapped(name, _WIDTH * size, size)
