"""The picture of a sweep: a metric against the size of the embedding, each method a labelled line over its ranks."""

from __future__ import annotations

from collections import defaultdict
from itertools import cycle
from pathlib import Path
from typing import Literal

import matplotlib as mpl

mpl.use("agg")  # no window: pictures are files
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embfact.records.cells import short
from embfact.records.table import Column, Row, Table

Measure = Literal["params", "bytes"]
# Wong's palette (Nature Methods, 2011) for the colour-blind; markers and dashes tell the lines apart in grey.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # one more than colours, so that 42 lines have a look of their own
DASHES = ("-", "--", "-.", ":")


def draw(table: Table, column: Column, against: Measure | None = None) -> Figure:
    """Draw one figure of a table against the size of the embedding.

    Args:
        table: What `build_table` made; of one backbone.
        column: The metric to draw, in percent, mean and sample standard deviation over seeds.
        against: Parameters or bytes; None takes parameters, or bytes where those of some table lie: quantizing leaves
            their number as it was, and codes are none.

    Returns:
        The figure: size on a logarithmic axis, dense as a horizontal line.

    Raises:
        ValueError: If no factorized run of the table has this figure, or there are several backbones.
    """
    lines: dict[str, list[Row]] = defaultdict(list)
    for row in table.rows:
        if row.spread(column).mean is not None and row.finished(column.data):
            lines[f"{row.label} {row.setting}".strip()].append(row)
    if not any(not rows[0].dense for rows in lines.values()):
        raise ValueError(f"no factorized run has {column.metric} on {column.data.label}; choose another data set")
    if len(models := sorted({row.model for rows in lines.values() for row in rows})) > 1:
        raise ValueError(f"runs of several backbones there ({', '.join(models)}); draw the folder of one at a time")
    if against is None:
        against = "bytes" if any(_parameters_lie(row) for rows in lines.values() for row in rows) else "params"
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    styles = zip(cycle(COLORS), cycle(MARKERS), cycle(DASHES), strict=False)
    ends = []
    for name, rows in lines.items():
        if rows[0].dense:
            _draw_dense(axes, rows[0], column, against)
        else:
            color, marker, dash = next(styles)
            ends.append((*_draw_line(axes, rows, column, against, (color, marker, dash)), name, color))
    _label(axes, lines, column, against)
    _name(axes, ends)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the ending (.svg, .png, .pdf) chooses the format. The same figure gives the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "embfact", "svg.fonttype": "path"}):
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _draw_dense(axes: Axes, row: Row, column: Column, against: Measure) -> None:
    spread = row.spread(column)
    mean, std = 100 * (spread.mean or 0.0), 100 * (spread.std or 0.0)
    axes.axhline(mean, color="0.35", linewidth=1)
    axes.axhspan(mean - std, mean + std, color="0.35", alpha=0.12, linewidth=0)
    unit = "B" if against == "bytes" else " parameters"
    words = f"dense {mean:.1f} ({short(_size(row, against))}{unit})"
    axes.annotate(words, (0.01, mean), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points")


def _draw_line(
    axes: Axes, rows: list[Row], column: Column, against: Measure, style: tuple[str, str, str]
) -> tuple[float, float]:
    """Draw one method, and say where its line ends."""
    color, marker, dash = style
    rows = sorted(rows, key=lambda row: _size(row, against))
    sizes = [_size(row, against) for row in rows]
    spreads = [row.spread(column) for row in rows]
    means = [100 * (spread.mean or 0.0) for spread in spreads]
    errors = [100 * (spread.std or 0.0) for spread in spreads]
    axes.errorbar(sizes, means, errors, color=color, marker=marker, linestyle=dash, capsize=3, linewidth=1.6)
    return sizes[-1], means[-1]


def _name(axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Write the names of the lines beside their ends, apart from each other: methods of one budget end together."""
    bottom, top = axes.get_ylim()
    gap, place = (top - bottom) / 22, bottom
    for size, mean, name, color in sorted(ends, key=lambda end: end[1]):
        place = max(place + gap, mean)
        axes.annotate(name, (size, place), xytext=(10, -3), textcoords="offset points", color=color)
    axes.set_ylim(bottom, max(top, place + gap))


def _label(axes: Axes, lines: dict[str, list[Row]], column: Column, against: Measure) -> None:
    seeds = {len(row.spread(column).values) for rows in lines.values() for row in rows}
    counted = f"{min(seeds)}" if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"
    sizes = sorted(_size(row, against) for rows in lines.values() for row in rows if not row.dense)
    ticks: list[int] = []
    for size in sizes:
        # Methods of one rank or budget differ by little: one tick for them.
        if not ticks or size > 1.15 * ticks[-1]:
            ticks.append(size)
    axes.set_xscale("log", base=2)
    # The largest line ends at the frame otherwise, with no room for its name.
    axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.9)
    axes.set_xticks(ticks, [f"{short(size)}{'B' if against == 'bytes' else ''}" for size in ticks])
    axes.minorticks_off()
    axes.set_xlabel(f"{'bytes' if against == 'bytes' else 'parameters'} of the token embedding")
    axes.set_ylabel(f"{column.metric} on {column.data.label} {column.split} (%)")
    axes.set_title(f"mean ± standard deviation over {counted} seeds", loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9")


def _parameters_lie(row: Row) -> bool:
    """Whether a parameter of the embedding takes clearly more or fewer bytes than one of the dense table."""
    size = row.finished()[0].size
    if size is None:
        return False
    small, dense = size.embedding, size.dense.embedding
    return abs(small.bytes * dense.parameters - small.parameters * dense.bytes) > small.parameters * dense.bytes / 10


def _size(row: Row, against: Measure) -> int:
    """Parameters or bytes of the embedding."""
    size = row.finished()[0].size
    if size is None:
        return 0
    return size.embedding.bytes if against == "bytes" else size.embedding.parameters
