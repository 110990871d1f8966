"""The plots of an analysis, in the style of all plots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from embfact.analysis.analyse import Analysis
from embfact.analysis.figures import GroupFigures, TableFigures
from embfact.analysis.frequency import UNSEEN
from embfact.results.looks import looks_of
from embfact.results.plots.names import SIZE, SMALLER, End, name_ends, room
from embfact.results.plots.style import DENSE, SMALL, STYLE, Look, heading, look, panels

_TOGETHER = 6  # tables that are distinguishable in one panel
_SPAN = 20  # largest over smallest value from which an axis is logarithmic
# Places of a word around its point: nearer rings first, distances in points; from the second one on, a thin line leads
# to the point.
_RINGS = (4, 12, 20, 29, 39, 50, 65)
_ANGLES = [2 * np.pi * (1 / 8 + number / 16) for number in (0, 4, 12, 8, 2, 6, 14, 10, 1, 3, 5, 7, 9, 11, 13, 15)]


def plots(analysis: Analysis) -> dict[str, Figure]:
    """All plots of an analysis, by file name."""
    dense, *compared = analysis.tables
    kinds = {"every row alike": dense.spectrum, "rows weighted by count": dense.weighted_spectrum}
    drawn = {
        "spectrum": spectrum({name: np.array(found.values) for name, found in kinds.items()}),
        "plane": plane(analysis),
        "anisotropy": dots(
            analysis,
            {
                "anisotropy (mean cosine)": lambda table: {
                    "words": table.anisotropy,
                    **{f"texts, {kind}": found.anisotropy for kind, found in table.texts.items()},
                }
            },
        ),
    }
    if compared:
        drawn["spectra"] = spectra(analysis)
        drawn["error"] = by_frequency(analysis, "squared error / squared norm", lambda group: group.error)
        drawn["neighbours"] = by_frequency(analysis, "recall@10 of neighbours", lambda group: group.recall)
    if analysis.classes is not None:
        measures = {"adjusted Rand index": lambda table: _met(table, "ari"), "NMI": lambda table: _met(table, "nmi")}
        drawn["texts"] = dots(analysis, measures)
    return drawn


@dataclass(frozen=True)
class Drawn:
    """A table in a panel: its figures, its label there, and its look."""

    table: TableFigures
    label: str
    look: Look


def by_method(tables: Sequence[TableFigures]) -> dict[str, list[Drawn]]:
    """The panels of some tables without the dense one: one, or a titled one per method if there are many.

    Colour and marker are those of the method, the dash varies within it.
    """
    methods = [table.name.split()[0] for table in tables]
    found = zip(tables, methods, looks_of(methods), strict=True)
    if len(tables) <= _TOGETHER or len(set(methods)) == 1:
        return {"": [Drawn(table, table.name, look(*numbers)) for table, _, numbers in found]}
    groups: dict[str, list[Drawn]] = defaultdict(list)
    for table, method, numbers in found:
        groups[method].append(Drawn(table, table.name.removeprefix(method).strip() or method, look(*numbers)))
    return dict(groups)


def _grid(groups: Sequence[list[Drawn]], wide: float) -> tuple[Figure, list[Axes], float]:
    """A panel for each group, and the size of their labels."""
    width, low, size = (wide, 3.4, SIZE) if len(groups) < 3 else (3.9, 2.6, SMALLER)
    tallest = max(room((one.label for one in group), size) for group in groups)
    return *panels(len(groups), width, max(low, tallest), alike=True), size


@mpl.rc_context(STYLE)
def spectra(analysis: Analysis) -> Figure:
    """Singular values of every table, relative to the largest one of the dense table."""
    dense, *compared = analysis.tables
    groups = by_method(compared)
    kinds = {"every row alike": False, "rows weighted by count": True}
    first = Drawn(dense, dense.name, DENSE)
    cells = [(kind, title, [first, *group]) for kind in kinds for title, group in groups.items()]
    figure, grid, size = _grid([group for _, _, group in cells], 4.6)
    ends = []
    for axes, (kind, title, group) in zip(grid, cells, strict=True):
        named = []
        for one in group:
            values, whole = (table.weighted_spectrum if kinds[kind] else table.spectrum for table in (one.table, dense))
            found = np.array([value for value in values.values if value > 0]) / whole.values[0]
            axes.plot(np.arange(1, len(found) + 1), found, color=one.look.color, linestyle=one.look.dash)
            named.append(End(len(found), float(found[-1]), one.label, one.look))
        axes.set_xscale("log")  # small ranks beside the whole width
        axes.set_yscale("log")
        axes.set_title(", ".join(filter(None, (title, kind))), parse_math=False)
        axes.set_xlabel("index of the singular value")
        axes.set_ylabel("singular value / largest of dense")
        ends.append((axes, named))
    name_ends(figure, ends, size)
    return figure


@mpl.rc_context(STYLE)
def by_frequency(analysis: Analysis, label: str, value: Callable[[GroupFigures], float | None]) -> Figure:
    """A line per table over the frequency groups; tokens that never occur stand apart.

    Args:
        analysis: With at least one table besides the dense one.
        label: Axis label.
        value: The figure of a group.
    """
    groups = by_method(analysis.tables[1:])
    figure, grid, size = _grid(list(groups.values()), 6.4)
    places = [place + 0.6 * (group.name == UNSEEN) for place, group in enumerate(analysis.groups, 1)]
    seen = sum(group.name != UNSEEN for group in analysis.groups)
    ends = []
    for axes, (title, group) in zip(grid, groups.items(), strict=True):
        named = []
        for one in group:
            found = [value(figures) for figures in one.table.groups]
            heights = [np.nan if height is None else height for height in found]
            own = one.look
            axes.plot(places[:seen], heights[:seen], color=own.color, linestyle=own.dash, marker=own.marker)
            axes.plot(places[seen:], heights[seen:], color=own.color, marker=own.marker, linestyle="none")
            named.append(End(places[-1], found[-1] or 0.0, one.label, own))
        shown = slice(None) if len(groups) < 3 else slice(None, None, 2)  # of eleven names
        axes.set_xticks(places[shown], [group.name for group in analysis.groups[shown]])
        axes.set_title(title, parse_math=False)
        axes.set_xlabel("decile of token frequency")
        axes.set_ylabel(label)
        ends.append((axes, named))
    every = [value(group) for table in analysis.tables[1:] for group in table.groups]
    drawn = [height for height in every if height is not None]
    if drawn and 0 < min(drawn) < max(drawn) / _SPAN:
        grid[0].set_yscale("log")  # shared by all panels, as are the limits
        grid[0].set_ylim(min(drawn) / 1.3, max(drawn) * 1.3)
    else:
        grid[0].set_ylim(0, 1.05 * max(drawn, default=1.0) or 1.0)
    heading(figure, f"Token frequency in {analysis.corpus}: 1 is the most frequent tenth of the words")
    name_ends(figure, ends, size)
    return figure


@mpl.rc_context(STYLE)
def dots(analysis: Analysis, measures: Mapping[str, Callable[[TableFigures], Mapping[str, float | None]]]) -> Figure:
    """A panel per measure, a line per table, a dot per kind of vectors.

    Args:
        analysis: The figures.
        measures: Name of a measure -> its figures for a table, by kind of vectors.
    """
    names = [table.name for table in analysis.tables]
    figure, grid = panels(len(measures), 6.4 / len(measures), 1.2 + 0.22 * len(names))
    for axes, (label, measure) in zip(grid, measures.items(), strict=True):
        for place, kind in enumerate(measure(analysis.tables[0])):
            own = look(place)
            found = [measure(table)[kind] for table in analysis.tables]
            values = [np.nan if value is None else value for value in found]
            axes.plot(values, range(len(names)), color=own.color, marker=own.marker, linestyle="none", label=kind)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), names if axes is grid[0] else [], parse_math=False)
        axes.axvline(0, color="0.7", linewidth=0.8, zorder=0)
        axes.grid(axis="x", color="0.9")
        axes.set_xlabel(label)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), frameon=False, fontsize=SMALL + 1)
    return figure


def _met(table: TableFigures, index: str) -> dict[str, float | None]:
    return {f"texts, {kind}": getattr(found.clusters, index) for kind, found in table.texts.items()}


@mpl.rc_context(STYLE)
def plane(analysis: Analysis) -> Figure:
    """Named words of each table on its first two principal components, with other words in grey."""
    dense, *compared = analysis.tables
    looks = {one.table.name: one.look for group in by_method(compared).values() for one in group}
    figure, grid = panels(len(analysis.tables), 3.4, 3.2)
    for axes, table in zip(grid, analysis.tables, strict=True):
        own = DENSE if table is dense else looks[table.name]
        axes.plot(*zip(*table.background, strict=True), ".", markersize=2, color="0.8")
        axes.grid(visible=False)
        axes.set_title(table.name, parse_math=False)
        axes.set_xlabel(f"component 1 ({100 * table.explained[0]:.1f} % of the variance)")
        axes.set_ylabel(f"component 2 ({100 * table.explained[1]:.1f} %)")
        axes.locator_params(nbins=5)
        axes.margins(0.15)
        if table.plane:
            axes.plot(*zip(*table.plane.values(), strict=True), own.marker, markersize=3, color=own.color)
    figure.draw_without_rendering()
    figure.set_layout_engine(None)  # the labels are placed for the current panel positions
    for axes, table in zip(grid, analysis.tables, strict=True):
        _name_points(axes, table.plane)
    return figure


def _name_points(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write each word as near to its point as it fits without covering another point, a word or the frame."""
    dot = cast(Figure, axes.get_figure(root=True)).dpi / 72
    pixels = {word: axes.transData.transform(point) for word, point in points.items()}
    dots = {word: Bbox.from_bounds(x - 3 * dot, y - 3 * dot, 6 * dot, 6 * dot) for word, (x, y) in pixels.items()}
    taken: list[Bbox] = []
    frame = axes.get_window_extent()
    style: dict[str, Any] = {
        "textcoords": "offset points",
        "fontsize": SMALL,
        "ha": "center",
        "va": "center",
        "parse_math": False,
    }
    for word, point in points.items():
        text = axes.annotate(word, point, xytext=(0, 0), **style)
        extent = text.get_window_extent()
        covered: dict[tuple[float, float, int], tuple[int, Bbox]] = {}
        others = [*(box for other, box in dots.items() if other != word), *taken]
        for ring, angle in product(_RINGS, _ANGLES):
            # The near edge of the word lies on the ring.
            x = np.cos(angle) * ring * dot + np.sign(round(np.cos(angle), 6)) * extent.width / 2
            y = np.sin(angle) * ring * dot + np.sign(round(np.sin(angle), 6)) * extent.height / 2
            left, low = pixels[word] + (x - extent.width / 2, y - extent.height / 2)
            box = Bbox.from_bounds(left, low, extent.width, extent.height)
            outside = not (frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1)
            covered[x / dot, y / dot, ring] = sum(box.padded(dot).overlaps(other) for other in others) + outside, box
            if not covered[x / dot, y / dot, ring][0]:
                break
        best = min(covered, key=lambda place: covered[place][0])
        text.set_position(best[:2])
        if best[2] > _RINGS[0]:
            arrow = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
            axes.annotate("", point, xytext=best[:2], textcoords="offset points", arrowprops=arrow, zorder=1.5)
        taken.append(covered[best][1])


@mpl.rc_context(STYLE)
def spectrum(values: Mapping[str, np.ndarray]) -> Figure:
    """Draw singular values, and the share of the energy that the largest of them hold.

    Args:
        values: Name -> singular values (n,) of a table, in any order; nonnegative, the largest above 0.

    Returns:
        The figure. Left: each value divided by the largest. Right: the share of the sum of squares that the best
        approximation of each rank keeps (Eckart and Young, 1936), labelled with the rank that keeps 90 %.

    Raises:
        ValueError: If there is nothing to draw, or a spectrum has no positive value.
    """
    if not values or any(not np.max(found, initial=0.0) > 0 for found in values.values()):
        raise ValueError(f"nothing to draw: each spectrum needs a value above 0 (found {', '.join(values) or 'none'})")
    figure, (left, right) = panels(2, 4.6, max(3.4, room(_with_rank(name, 100) for name in values)))
    ends: dict[Axes, list[End]] = {left: [], right: []}
    for place, (name, found) in enumerate(values.items()):
        falling = np.sort(np.asarray(found, dtype=float))[::-1]
        kept = 100 * np.cumsum(np.square(falling)) / np.square(falling).sum()
        positive = falling[falling > 0] / falling[0]  # 0 has no place on a logarithmic axis
        enough = 1 + int(np.searchsorted(kept, 90))
        ends[left].append(_line(left, positive, name, look(place)))
        ends[right].append(_line(right, kept, _with_rank(name, enough), look(place)))
    left.set_yscale("log")
    left.set_ylabel("singular value / largest")
    right.set_ylabel("share of the sum of squares kept (%)")
    left.set_xlabel("index of the singular value")
    right.set_xlabel("rank")
    name_ends(figure, list(ends.items()))
    return figure


def _with_rank(name: str, enough: int) -> str:
    return f"{name}: 90\xa0%\xa0by\xa0{enough}"  # no-break spaces keep it on one line


def _line(axes: Axes, ys: np.ndarray, name: str, own: Look) -> End:
    marks = max(1, len(ys) // 6)
    ranks = np.arange(1, len(ys) + 1)
    axes.plot(ranks, ys, color=own.color, linestyle=own.dash, marker=own.marker, markevery=marks, markersize=4)
    return End(float(ranks[-1]), float(ys[-1]), name, own)
