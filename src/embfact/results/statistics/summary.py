"""Summaries of many figures: over sizes and over tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from embfact.results.statistics.compare import Comparison, noninferior

GLUE = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")
MOST_COMPRESSION = 64.0


def curve_area(points: Sequence[tuple[float, float]], upto: float = MOST_COMPRESSION) -> float | None:
    """Mean retained metric over the logarithm of compression: 1 for a method that loses nothing.

    The area by the trapezoidal rule over log2 compression from 1x to `upto`, divided by the width (6 for 64x). The
    dense model is the point (1, 1), unless a point at 1x is given. Nothing is extrapolated: points beyond `upto` only
    serve to interpolate the height there.

    Args:
        points: Compression ratio and metric as a fraction of dense; equal ratios are averaged.
        upto: Compression at which the area ends, above 1. Areas are comparable only for the same end; see
            `common_reach`.

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
    """The compression that all curves reach, at most 64: the common end of areas. Empty curves are ignored."""
    return min([MOST_COMPRESSION, *(max(ratio for ratio, _ in points) for points in curves if points)])


@dataclass(frozen=True)
class Smallest:
    """The smallest sizes within a tolerance of the reference.

    Attributes:
        by_bound: Smallest size whose loss is below the tolerance with confidence; None if there is none.
        by_mean: Smallest size whose mean loss is within the tolerance, possibly by chance; None if there is none.
    """

    by_bound: float | None
    by_mean: float | None


def smallest_within(sizes: Sequence[tuple[float, Comparison]], tolerance: float) -> Smallest:
    """The smallest size within a tolerance, by the bound of the loss and by the mean only.

    Args:
        sizes: Size (parameters, bytes or rank) and comparison with the reference, per row of a method.
        tolerance: The tolerated loss, as a fraction. A row with one seed has no bound over seeds and counts only by
            its mean.
    """
    by_mean = [size for size, found in sizes if -found.difference <= tolerance]
    by_bound = [size for size, found in sizes if found.p_value is not None and noninferior(found, tolerance).holds]
    return Smallest(min(by_bound, default=None), min(by_mean, default=None))


@dataclass(frozen=True)
class TaskMean:
    """A mean over tasks: a fraction, or None without complete tasks; and the tasks, of how many.

    Means over different tasks are not comparable, so a mean is always shown with its `label`, e.g. ``3 of 9``.
    """

    mean: float | None
    tasks: tuple[str, ...]
    total: int

    @property
    def label(self) -> str:
        """How many of the tasks it covers."""
        return f"{len(self.tasks)} of {self.total}"


def task_mean(figures: Mapping[str, Sequence[float | None]], tasks: Sequence[str] = GLUE) -> TaskMean:
    """The mean over tasks of the mean over each task's metrics and splits, as in GLUE (Wang et al., 2019).

    Args:
        figures: Task -> its figures as fractions, e.g. ``{"mrpc": [accuracy, f1]}``. Tasks with an undefined figure or
            without figures do not count.
        tasks: The tasks to average; other data sets do not count.
    """
    complete = {task: figures[task] for task in tasks if figures.get(task) and None not in figures[task]}
    means = [fmean(value for value in values if value is not None) for values in complete.values()]
    return TaskMean(fmean(means) if means else None, tuple(complete), len(tasks))
