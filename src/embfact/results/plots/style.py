"""The one look of all pictures: colours, markers, dashes, letters, and how a picture becomes a file."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, MaxNLocator, NullLocator

# Wong's palette (Nature Methods, 2011) for the colour-blind; markers and dashes tell the lines apart in grey.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # one more than colours, so that 42 lines have a look of their own
DASHES = ("-", "--", "-.", ":")
SMALL = 7  # points, of remarks
_STEPS = ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))  # of the figures below a logarithmic axis, densest first
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "errorbar.capsize": 2.5,
    # Letters as shapes look the same everywhere; the salt makes the names of an SVG's parts those of its content.
    "svg.fonttype": "path",
    "svg.hashsalt": "embfact",
}


@dataclass(frozen=True)
class Look:
    """How a line is told from others, in colour and in grey."""

    color: str
    marker: str
    dash: str


DENSE = Look("0.25", "*", "-")


def look(place: int | None) -> Look:
    """The look of a line by its number; None is dense."""
    if place is None:
        return DENSE
    return Look(*(kind[place % len(kind)] for kind in (COLORS, MARKERS, DASHES)))


def panels(count: int, width: float, height: float, *, alike: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels, at most three beside each other.

    Args:
        count: How many panels.
        width: Of one panel with the names beside it, in inches.
        height: Of one panel, in inches.
        alike: Give all of them the same axes.
    """
    across = count if count < 4 else 2 if count == 4 else 3
    down = -(-count // across)
    figure = Figure(figsize=(width * across, height * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=alike, sharey=alike).flat
    for unused in grid[count:]:
        unused.remove()
    for axes in grid[:count]:
        axes.tick_params(labelleft=True, labelbottom=True)
    return figure, list(grid[:count])


# Names may hold dollars: in words that are not ours none of them begins a formula (`parse_math=False`).


def heading(figure: Figure, text: str) -> None:
    """Write words above all panels."""
    wrapped = textwrap.fill(text, int(14 * figure.get_figwidth()))  # letters of this size in an inch
    figure.suptitle(wrapped, x=0.01, ha="left", fontsize=STYLE["axes.titlesize"], parse_math=False)


def remark(figure: Figure, texts: Iterable[str]) -> None:
    """Write small words below everything else."""
    wrapped = "\n".join(textwrap.fill(text, int(16 * figure.get_figwidth())) for text in texts if text)
    if wrapped:
        figure.supxlabel(wrapped, x=0.01, ha="left", fontsize=SMALL, color="0.3", parse_math=False)


def size_axis(axes: Axes, unit: str, base: int = 10) -> None:
    """Make the horizontal axis logarithmic, with few round figures below it.

    Args:
        axes: With everything drawn.
        unit: Behind the figures: ``B``.
        base: 2 for halvings.
    """
    low, high = axes.get_xlim()
    axes.set_xscale("log", base=base)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(_round_figures(low, high, base)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(unit, sep=""))


def save(figure: Figure, path: Path) -> None:
    """Write a figure whole or not at all; the ending (.svg, .png, .pdf) chooses the format.

    The same figure gives the same bytes: no date is written into it.

    Args:
        figure: What one of the drawing functions made.
        path: The file; its folder must exist.

    Raises:
        OSError: If the folder cannot be written to; the old file is then untouched.
    """
    dates: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with mpl.rc_context(STYLE):
            figure.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=dates.get(path.suffix))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _round_figures(low: float, high: float, base: int) -> list[float]:
    """Round figures between two limits, as many as can be read apart on a logarithmic axis of a small panel."""
    if base == 2:
        return [2.0**power for power in range(40) if low <= 2**power <= high]
    linear = [MaxNLocator(count).tick_values(low, high) for count in (5, 3)]
    steps = [[step * 10**power for power in range(13) for step in kind] for kind in _STEPS]
    for figures in (linear[0], *steps, linear[1]):
        inside = [float(figure) for figure in figures if low <= figure <= high]
        # An eighth of the axis is as wide as a figure with its unit.
        if len(inside) > 1 and all(b / a > (high / low) ** 0.125 for a, b in pairwise(inside)):
            break
    return inside
