"""The style of all plots: colours, markers, dashes, fonts; and saving a plot."""

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

# Wong's colour-blind palette (Nature Methods, 2011) and wine (Tol, 2021); markers and dashes serve in greyscale.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")  # one more than colours, so that 56 methods look different
DASHES = ("-", "--", "-.", ":")
SMALL = 7  # font size of remarks, in points
_STEPS = ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))  # tick labels of a logarithmic axis, densest first
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
    # Text as paths looks the same everywhere; the salt makes the ids in an SVG depend only on its content.
    "svg.fonttype": "path",
    "svg.hashsalt": "embfact",
}


@dataclass(frozen=True)
class Look:
    """What distinguishes a line from others, in colour and in greyscale."""

    color: str
    marker: str
    dash: str


DENSE = Look("0.25", "*", "-")
BASELINE = Look("0.55", "None", ":")


def look(number: int | None, variant: int = 0) -> Look:
    """The look of a line: colour and marker by the number of its method, dash by its variant; None is dense.

    The numbers are those of `embfact.results.looks`. Variants of a method differ in storage, options or size.
    """
    if number is None:
        return DENSE
    return Look(COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)], DASHES[variant % len(DASHES)])


def panels(count: int, width: float, height: float, *, alike: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels, at most three per row.

    Args:
        count: Number of panels.
        width: Width of a panel including its labels, in inches.
        height: Height of a panel, in inches.
        alike: Share the axes.
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


# Names may contain dollar signs, which must not start a formula: `parse_math=False`.


def heading(figure: Figure, text: str) -> None:
    """Write a heading above all panels."""
    wrapped = textwrap.fill(text, int(14 * figure.get_figwidth()))  # characters of this size per inch
    figure.suptitle(wrapped, x=0.01, ha="left", fontsize=STYLE["axes.titlesize"], parse_math=False)


def remark(figure: Figure, texts: Iterable[str]) -> None:
    """Write small text below everything else."""
    wrapped = "\n".join(textwrap.fill(text, int(16 * figure.get_figwidth())) for text in texts if text)
    if wrapped:
        figure.supxlabel(wrapped, x=0.01, ha="left", fontsize=SMALL, color="0.3", parse_math=False)


def size_axis(axes: Axes, unit: str, base: int = 10) -> None:
    """Make the horizontal axis of a finished panel logarithmic, with a few round numbers and their unit."""
    low, high = axes.get_xlim()
    axes.set_xscale("log", base=base)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(_round_figures(low, high, base)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(unit, sep=""))


def save(figure: Figure, path: Path) -> None:
    """Write a figure atomically; the suffix (.svg, .png, .pdf) selects the format.

    The same figure gives the same bytes, since no date is written.

    Raises:
        OSError: If the folder does not exist or is not writable; the old file is then untouched.
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
    """Round numbers between two limits, as many as are legible on the logarithmic axis of a small panel."""
    if base == 2:
        return [2.0**power for power in range(40) if low <= 2**power <= high]
    linear = [MaxNLocator(count).tick_values(low, high) for count in (5, 3)]
    steps = [[step * 10**power for power in range(13) for step in kind] for kind in _STEPS]
    for figures in (linear[0], *steps, linear[1]):
        inside = [float(figure) for figure in figures if low <= figure <= high]
        # A number with its unit takes an eighth of the axis.
        if len(inside) > 1 and all(b / a > (high / low) ** 0.125 for a, b in pairwise(inside)):
            break
    return inside
