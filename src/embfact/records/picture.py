"""The picture of a sweep: a metric against the size of the embedding, each method a labelled line over its ranks."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")  # no window: pictures are files
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embfact.records.table import DENSE, Column, Row, Table

# Wong's palette (Nature Methods, 2011) for the colour-blind; markers and dashes tell the lines apart in grey.
STYLES = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#009E73", "^", "-."),
    ("#CC79A7", "D", ":"),
    ("#56B4E9", "v", "-"),
    ("#E69F00", "P", "--"),
)


def draw(table: Table, column: Column) -> Figure:
    """Draw one figure of a table against embedding parameters.

    Args:
        table: What `build_table` made; of one backbone.
        column: The metric to draw, in percent, mean and sample standard deviation over seeds.

    Returns:
        The figure: parameters on a logarithmic axis, dense as a horizontal line.

    Raises:
        ValueError: If no factorized run of the table has this figure, or there are several backbones.
    """
    lines: dict[str, list[Row]] = defaultdict(list)
    for row in table.rows:
        if row.spread(column).mean is not None and row.finished(column.data):
            name = f"{row.method} {row.setting}".strip()
            lines[name].append(row)
    if not any(rows[0].method != DENSE for rows in lines.values()):
        raise ValueError(f"no factorized run has {column.metric} on {column.data.label}; choose another data set")
    if len(models := sorted({row.model for rows in lines.values() for row in rows})) > 1:
        raise ValueError(f"runs of several backbones there ({', '.join(models)}); draw the folder of one at a time")
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    styles = iter(STYLES * (len(lines) // len(STYLES) + 1))
    for name, rows in lines.items():
        if rows[0].method == DENSE:
            _draw_dense(axes, rows[0], column)
        else:
            _draw_line(axes, name, rows, column, next(styles))
    _label(axes, lines, column)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the ending (.svg, .png, .pdf) chooses the format. The same figure gives the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "embfact", "svg.fonttype": "path"}):
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _draw_dense(axes: Axes, row: Row, column: Column) -> None:
    spread = row.spread(column)
    mean, std = 100 * (spread.mean or 0.0), 100 * (spread.std or 0.0)
    axes.axhline(mean, color="0.35", linewidth=1)
    axes.axhspan(mean - std, mean + std, color="0.35", alpha=0.12, linewidth=0)
    words = f"dense {mean:.1f} ({_parameters(row):.1f}M parameters)"
    axes.annotate(words, (0.01, mean), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points")


def _draw_line(axes: Axes, name: str, rows: list[Row], column: Column, style: tuple[str, str, str]) -> None:
    color, marker, dash = style
    rows = sorted(rows, key=_parameters)
    sizes = [_parameters(row) for row in rows]
    spreads = [row.spread(column) for row in rows]
    means = [100 * (spread.mean or 0.0) for spread in spreads]
    errors = [100 * (spread.std or 0.0) for spread in spreads]
    axes.errorbar(sizes, means, errors, color=color, marker=marker, linestyle=dash, capsize=3, linewidth=1.6)
    axes.annotate(name, (sizes[-1], means[-1]), xytext=(8, -3), textcoords="offset points", color=color)


def _label(axes: Axes, lines: dict[str, list[Row]], column: Column) -> None:
    seeds = {len(row.spread(column).values) for rows in lines.values() for row in rows}
    counted = f"{min(seeds)}" if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"
    sizes = sorted(_parameters(row) for rows in lines.values() for row in rows if row.method != DENSE)
    # Methods of equal rank differ by a few parameters: one tick for them.
    ticks = {f"{size:.1f}M": size for size in sizes}
    axes.set_xscale("log", base=2)
    # The largest line ends at the frame otherwise, with no room for its name.
    axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.9)
    axes.set_xticks(list(ticks.values()), list(ticks))
    axes.minorticks_off()
    axes.set_xlabel("parameters of the token embedding")
    axes.set_ylabel(f"{column.metric} on {column.data.label} {column.split} (%)")
    axes.set_title(f"mean ± standard deviation over {counted} seeds", loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9")


def _parameters(row: Row) -> float:
    """Millions of parameters of the embedding."""
    size = row.finished()[0].size
    return 0.0 if size is None else size.embedding.parameters / 1e6
