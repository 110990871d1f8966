"""Many figures in one: over sizes, and over tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from embfact.results.statistics.compare import Comparison
from embfact.results.statistics.noninferiority import noninferior

GLUE = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")
MOST_COMPRESSION = 64.0


def curve_area(points: Sequence[tuple[float, float]], upto: float = MOST_COMPRESSION) -> float | None:
    """Mean height of the retained metric over the logarithm of compression: 1 for a method that loses nothing.

    The trapezoids between the points over log2 compression, from 1x to `upto`, divided by its width (6 for 64x). The
    dense model is the point (1, 1), unless one at 1x is given. Nothing is extrapolated: points that compress more than
    `upto` only help to find the height there, and where none reaches it there is no area.

    Args:
        points: Compression ratio and metric as a fraction of the dense one; of equal ratios the mean counts.
        upto: Compression at which the area ends, above 1. Areas compare only for the same end; see `common_reach`.

    Returns:
        The area; None if the points do not reach `upto`.
    """
    heights: dict[float, list[float]] = defaultdict(list)
    for ratio, fraction in points:
        if ratio >= 1:
            heights[ratio].append(fraction)
    heights.setdefault(1.0, [1.0])
    if upto <= 1 or max(heights) < upto:
        return None
    ratios = sorted(heights)
    known = np.log2(ratios), [fmean(heights[ratio]) for ratio in ratios]
    width = float(np.log2(upto))
    places = np.log2([*(ratio for ratio in ratios if ratio < upto), upto])
    return float(np.trapezoid(np.interp(places, *known), places)) / width


def common_reach(curves: Iterable[Sequence[tuple[float, float]]]) -> float:
    """The compression that all curves reach, 64 at most: where areas that are to be compared should end.

    Args:
        curves: Points of each method, as `curve_area` takes them; those without points do not count.
    """
    return min([MOST_COMPRESSION, *(max(ratio for ratio, _ in points) for points in curves if points)])


@dataclass(frozen=True)
class Smallest:
    """The smallest sizes within a tolerance of the reference.

    Attributes:
        by_bound: Smallest size whose loss is below the tolerance with confidence; None if there is none.
        by_mean: Smallest size whose mean loss is within the tolerance: it may be so by chance. None if there is none.
    """

    by_bound: float | None
    by_mean: float | None


def smallest_within(sizes: Sequence[tuple[float, Comparison]], tolerance: float) -> Smallest:
    """The smallest size within a tolerance, by the bound of the loss and by the mean alone.

    Args:
        sizes: A size (parameters, bytes or a rank) and the comparison with the reference, of each row of a method.
        tolerance: The loss that is tolerated, as a fraction. A row with one seed has no bound over seeds: it counts
            by its mean alone.
    """
    by_mean = [size for size, found in sizes if -found.difference <= tolerance]
    by_bound = [size for size, found in sizes if found.p_value is not None and noninferior(found, tolerance).holds]
    return Smallest(min(by_bound, default=None), min(by_mean, default=None))


@dataclass(frozen=True)
class GlueMean:
    """The mean over GLUE's tasks that are there.

    Attributes:
        mean: As a fraction; None without any task.
        tasks: The tasks that it is over, in GLUE's order.
        label: E.g. ``3 of 9``: means over other tasks do not compare.
    """

    mean: float | None
    tasks: tuple[str, ...]

    @property
    def label(self) -> str:
        """How many tasks it is over."""
        return f"{len(self.tasks)} of {len(GLUE)}"


def glue_mean(figures: Mapping[str, Sequence[float | None]]) -> GlueMean:
    """The mean over tasks of the mean over each task's metrics and splits, as GLUE has it (Wang et al., 2019).

    Args:
        figures: Task -> its figures as fractions, e.g. ``{"mrpc": [accuracy, f1]}``. Data sets that are no task of
            GLUE, and tasks with an undefined figure or none, do not count.
    """
    whole = {
        task: [value for value in figures.get(task, ()) if value is not None]
        for task in GLUE
        if figures.get(task) and None not in figures[task]
    }
    means = [fmean(values) for values in whole.values()]
    return GlueMean(fmean(means) if means else None, tuple(whole))
