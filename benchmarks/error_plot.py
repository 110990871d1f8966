"""The picture of `error_per_byte.py`: error against bytes, both logarithmic, and the bound below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from embfact.results.looks import looks_of
from embfact.results.plots.style import look

if TYPE_CHECKING:
    from error_per_byte import Row


def draw(rows: list[Row], bound: list[tuple[int, float]], dense: int) -> Figure:
    """A line for each method and storage, and the bound grey.

    Args:
        rows: What was measured.
        bound: Bytes and least error of normal numbers.
        dense: Bytes of the float32 table.
    """
    figure = Figure(figsize=(8.2, 5.4), layout="constrained")
    axes = figure.subplots()
    shares, least = [100 * size / dense for size, _ in bound], [error for _, error in bound]
    axes.fill_between(shares, least, 1e-9, color="0.93", lw=0)
    axes.text(0.52, 0.0012, "no code of normal numbers\nreaches this", color="0.4", fontsize=8)
    names = list(dict.fromkeys(row.method for row in rows))
    for method, (number, variant) in zip(names, looks_of([name.split()[0] for name in names]), strict=True):
        own = [row for row in rows if row.method == method and row.error is not None]
        if own:
            style = look(number, variant)
            points = [(100 * row.bytes / dense, row.error) for row in own]
            first = variant == 0 or len(own) == 1
            axes.plot(
                *zip(*points, strict=True),
                color=style.color,
                marker=style.marker,
                linestyle=style.dash,
                markerfacecolor=style.color if first else "white",
                label=method,
                linewidth=1.3,
                markersize=4.5,
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(0.4, 32)
    axes.set_ylim(8e-4, 1.1)
    ticks = [0.5, 1, 2, 5, 10, 25]
    axes.set_xticks(ticks, [f"{tick:g} %" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks([0.001, 0.01, 0.1, 1], ["0.001", "0.01", "0.1", "1"])
    axes.set_xlabel("bytes of the table, as a share of float32")
    axes.set_ylabel("squared error, weighted by held-out tokens")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
