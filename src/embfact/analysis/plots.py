"""The plots of an analysis, in the style of all plots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from embfact.analysis.analyse import Analysis
from embfact.analysis.figures import GroupFigures, TableFigures
from embfact.analysis.frequency import UNSEEN
from embfact.results.looks import looks_of
from embfact.results.plots.names import End, name_ends, room
from embfact.results.plots.style import DENSE, SMALL, STYLE, Look, look, panels

# Offsets of a word from its point, in points; further away it would seem to belong to another point.
_DIRECTIONS = ((4, 3), (-4, 3), (4, -9), (-4, -9), (0, 6), (0, -12), (9, -3), (-9, -3))


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


def looks(tables: Sequence[TableFigures]) -> list[Look]:
    """A look per table: colour and marker by method, dash by size; the dense table has its own."""
    methods = [table.name.split()[0] for table in tables[1:]]
    return [DENSE, *(look(*pair) for pair in looks_of(methods))]


@mpl.rc_context(STYLE)
def spectra(analysis: Analysis) -> Figure:
    """Singular values of every table, relative to the largest one of the dense table."""
    dense = analysis.tables[0]
    figure, grid = panels(2, 4.6, max(3.4, room(table.name for table in analysis.tables)))
    ends = []
    for axes, title, kind in zip(grid, ("every row alike", "rows weighted by count"), (False, True), strict=True):
        named = []
        for table, own in zip(analysis.tables, looks(analysis.tables), strict=True):
            values, whole = (one.weighted_spectrum if kind else one.spectrum for one in (table, dense))
            found = np.array([value for value in values.values if value > 0]) / whole.values[0]
            axes.plot(np.arange(1, len(found) + 1), found, color=own.color, linestyle=own.dash)
            named.append(End(len(found), float(found[-1]), table.name, own))
        axes.set_yscale("log")
        axes.set_title(title)
        axes.set_xlabel("index of the singular value")
        axes.set_ylabel("singular value / largest of dense")
        ends.append((axes, named))
    name_ends(figure, ends)
    return figure


@mpl.rc_context(STYLE)
def by_frequency(analysis: Analysis, label: str, value: Callable[[GroupFigures], float | None]) -> Figure:
    """A line per table over the frequency groups; tokens that never occur stand apart.

    Args:
        analysis: With at least one table besides the dense one.
        label: Axis label.
        value: The figure of a group.
    """
    compared = analysis.tables[1:]
    figure, (axes,) = panels(1, 6.4, max(3.4, room(table.name for table in compared)))
    places = [place + 0.6 * (group.name == UNSEEN) for place, group in enumerate(analysis.groups, 1)]
    seen = sum(group.name != UNSEEN for group in analysis.groups)
    ends = []
    for table, own in zip(compared, looks(analysis.tables)[1:], strict=True):
        found = [value(group) for group in table.groups]
        heights = [np.nan if height is None else height for height in found]
        axes.plot(places[:seen], heights[:seen], color=own.color, linestyle=own.dash, marker=own.marker)
        axes.plot(places[seen:], heights[seen:], color=own.color, marker=own.marker, linestyle="none")
        ends.append(End(places[-1], found[-1] or 0.0, table.name, own))
    axes.set_ylim(bottom=0)
    axes.set_xticks(places, [group.name for group in analysis.groups])
    axes.set_xlabel(f"decile of token frequency in {analysis.corpus}, 1 the most frequent", parse_math=False)
    axes.set_ylabel(label)
    name_ends(figure, [(axes, ends)])
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
    figure, grid = panels(len(analysis.tables), 3.4, 3.2)
    for axes, table, own in zip(grid, analysis.tables, looks(analysis.tables), strict=True):
        axes.plot(*zip(*table.background, strict=True), ".", markersize=2, color="0.8")
        axes.grid(visible=False)
        axes.set_title(table.name, parse_math=False)
        axes.set_xlabel(f"component 1 ({100 * table.explained[0]:.1f} % of the variance)")
        axes.set_ylabel(f"component 2 ({100 * table.explained[1]:.1f} %)")
        axes.margins(0.15)
        if table.plane:
            axes.plot(*zip(*table.plane.values(), strict=True), own.marker, markersize=3, color=own.color)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the labels are placed for the current panel positions
    for axes, table in zip(grid, analysis.tables, strict=True):
        _name_points(axes, table.plane)
    return figure


def _name_points(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write each word beside its point, in the direction where it covers the fewest points and words."""
    taken = [Bbox.from_bounds(x - 3, y - 3, 6, 6) for x, y in map(axes.transData.transform, points.values())]
    for word, point in points.items():
        text = axes.annotate(word, point, xytext=(0, 0), textcoords="offset points", fontsize=SMALL, parse_math=False)
        covered: dict[tuple[int, int], tuple[int, Bbox]] = {}
        for place in _DIRECTIONS:
            _move(text, place)
            box = text.get_window_extent()
            covered[place] = sum(box.overlaps(other) for other in taken), box
        best = min(covered, key=lambda place: covered[place][0])
        _move(text, best)
        taken.append(covered[best][1])


def _move(text: Annotation, place: tuple[int, int]) -> None:
    text.set_position(place)
    text.set_horizontalalignment("left" if place[0] > 0 else "right" if place[0] < 0 else "center")


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
