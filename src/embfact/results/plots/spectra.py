"""Spectra of singular values: how low a table's rank really is."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from embfact.results.plots.names import End, name_ends, room
from embfact.results.plots.style import STYLE, Look, look, panels


@mpl.rc_context(STYLE)
def spectrum(values: Mapping[str, np.ndarray]) -> Figure:
    """Draw singular values, and the share of the energy that the largest of them hold.

    Args:
        values: Name -> singular values (n,) of a table, in any order; none negative and the largest above 0.

    Returns:
        The figure: to the left each value divided by the largest one, to the right the share of the sum of squares
        that the best approximation of each rank keeps (Eckart and Young, 1936), named with the rank that keeps 90 %.

    Raises:
        ValueError: If there is nothing to draw, or a spectrum holds no positive value.
    """
    if not values or any(not np.max(found, initial=0.0) > 0 for found in values.values()):
        raise ValueError(f"nothing to draw: each spectrum needs a value above 0 (found {', '.join(values) or 'none'})")
    figure, (left, right) = panels(2, 4.6, max(3.4, room(_with_rank(name, 100) for name in values)))
    ends: dict[Axes, list[End]] = {left: [], right: []}
    for place, (name, found) in enumerate(values.items()):
        falling = np.sort(np.asarray(found, dtype=float))[::-1]
        kept = 100 * np.cumsum(np.square(falling)) / np.square(falling).sum()
        positive = falling[falling > 0] / falling[0]  # a logarithmic axis has no place for 0
        ends[left].append(_line(left, positive, name, look(place)))
        enough = 1 + int(np.searchsorted(kept, 90))
        ends[right].append(_line(right, kept, _with_rank(name, enough), look(place)))
    left.set_yscale("log")
    left.set_ylabel("singular value / largest")
    right.set_ylabel("share of the sum of squares kept (%)")
    left.set_xlabel("index of the singular value")
    right.set_xlabel("rank")
    name_ends(figure, list(ends.items()))
    return figure


def _with_rank(name: str, enough: int) -> str:
    return f"{name}: 90\xa0%\xa0by\xa0{enough}"  # as one word, so that it is not torn apart


def _line(axes: Axes, ys: np.ndarray, name: str, own: Look) -> End:
    marks = max(1, len(ys) // 6)
    ranks = np.arange(1, len(ys) + 1)
    axes.plot(ranks, ys, color=own.color, linestyle=own.dash, marker=own.marker, markevery=marks, markersize=4)
    return End(float(ranks[-1]), float(ys[-1]), name, own)
