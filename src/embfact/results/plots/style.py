"""The style of all plots: colours, markers, dashes, fonts; and saving a plot."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, log
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.gridspec import GridSpec
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import TextToPath
from matplotlib.ticker import EngFormatter, MaxNLocator, NullLocator

# Wong's colour-blind palette (Nature Methods, 2011) and wine (Tol, 2021); markers and dashes serve in greyscale.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")  # one more than colours, so that 56 methods look different
DASHES = ("-", "--", "-.", ":")
_DPI = 150
SMALL = 7  # font size of remarks, in points
_STEPS = (1, 5, 2)  # figures of ticks on a logarithmic axis, the roundest first
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
    # Laid out as it is saved: letters are up to 3 % wider at another resolution, for which there is some room.
    layout = ConstrainedLayoutEngine(w_pad=0.08)
    figure = Figure(figsize=(width * across, height * down), dpi=_DPI, layout=layout)
    grid = figure.subplots(down, across, squeeze=False, sharex=alike, sharey=alike).flat
    for unused in grid[count:]:
        unused.remove()
    for axes in grid[:count]:
        axes.tick_params(labelleft=True, labelbottom=True)
    return figure, list(grid[:count])


# Names may contain dollar signs, which must not start a formula: `parse_math=False`.


def heading(figure: Figure, text: str) -> None:
    """Write a heading above all panels."""
    size = STYLE["axes.titlesize"]
    words = wrapped(text, figure.get_figwidth() - 0.2, size)
    figure.suptitle(words, x=0.01, ha="left", fontsize=size, parse_math=False)


def remark(figure: Figure, texts: Iterable[str]) -> None:
    """Write small text below everything else."""
    words = "\n".join(wrapped(text, figure.get_figwidth() - 0.2, SMALL) for text in texts if text)
    if words:
        figure.supxlabel(words, x=0.01, ha="left", fontsize=SMALL, color="0.3", parse_math=False)


def title(axes: Axes, text: str) -> None:
    """Write a title above a panel, no wider than the panel with its labels."""
    axes.set_title(wrapped(text, cell_of(axes)[0] - 0.8, STYLE["axes.titlesize"]), parse_math=False)


def ylabel(axes: Axes, text: str) -> None:
    """Write the label of the vertical axis, no longer than the panel is high."""
    axes.set_ylabel(wrapped(text, cell_of(axes)[1] - 0.9, STYLE["font.size"]), parse_math=False)


def wrapped(text: str, width: float, size: float) -> str:
    """Break a text into lines of at most `width` inches at a font size in points; words that are longer are broken."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if text_width(joined, size) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        while text_width(word, size) > width and len(word) > 1:
            fits = max(1, sum(text_width(word[: end + 1], size) <= width for end in range(len(word))))
            lines[-1:] = [word[:fits], ""]
            word = word[fits:]
        lines[-1] = word
    return "\n".join(lines)


@lru_cache(maxsize=4096)
def text_width(text: str, size: float) -> float:
    """Width of one line of text in inches at a font size in points; in pixels it is up to 3 % wider than outlined."""
    return 1.03 * float(TextToPath().get_text_width_height_descent(text, FontProperties(size=size), False)[0]) / 72


def size_axis(axes: Axes, unit: str, low: float, high: float, width: float, base: int = 10) -> None:
    """Make the horizontal axis of a panel logarithmic: ticks at the ends of the data, and round numbers between them.

    Args:
        axes: The panel.
        unit: Written after each number.
        low: The smallest size.
        high: The largest size.
        width: Width of the axis in inches, which decides how many numbers fit.
        base: 10, or 2 for halvings.
    """
    room = 0.2 / max(width - 0.4, 0.6)  # a fifth of an inch at both ends, where points may be moved apart
    margin = max(1.15, (high / low) ** room)
    axes.set_xscale("log", base=base)
    axes.set_xlim(low / margin, high * margin)
    words = EngFormatter(unit, sep="")
    scale = width / np.log(high * margin * margin / low)
    ticks: dict[float, str] = {}
    halves: dict[float, float] = {}  # of the widths of their names, with a gap
    for figure in (low, high, *_round_figures(low, high, base)):
        name = words(float(f"{figure:.3g}"))
        half = text_width(f"{name}  ", STYLE["font.size"]) / 2
        if all(abs(np.log(figure / other)) * scale > half + own for other, own in halves.items()):
            ticks[figure], halves[figure] = name, half
    axes.set_xticks(sorted(ticks), [ticks[figure] for figure in sorted(ticks)])
    axes.xaxis.set_minor_locator(NullLocator())


def step_axis(axes: Axes, low: float, high: float) -> None:
    """Put ticks at the ends of the data, and round numbers between them."""
    apart = (high - low) / 6
    between = MaxNLocator(4, integer=True).tick_values(low, high)
    axes.set_xticks([low, *(float(one) for one in between if low + apart < one < high - apart), high])


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
            figure.savefig(temporary, format=path.suffix[1:], dpi=_DPI, metadata=dates.get(path.suffix))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def cell_of(axes: Axes) -> tuple[float, float]:
    """Width and height of a panel with its labels, in inches."""
    figure, spec = cast(Figure, axes.get_figure(root=True)), cast(GridSpec, axes.get_gridspec())
    width, height = figure.get_size_inches()
    return float(width / spec.ncols), float(height / spec.nrows)


def _round_figures(low: float, high: float, base: int) -> list[float]:
    """Round numbers between two limits, the roundest first."""
    steps = (1,) if base == 2 else _STEPS
    powers = range(floor(log(low, base)), ceil(log(high, base)) + 1)
    return [step * float(base) ** power for step in steps for power in powers if low < step * base**power < high]
