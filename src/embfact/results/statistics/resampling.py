"""Metrics on resampled examples, with the same draws for all runs that are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from embfact.results.statistics.components import Components, components
from embfact.results.statistics.metrics import metric_of
from embfact.results.statistics.outcomes import Outcomes, StatisticsError

# Counts held in memory at a time: 32 MB.
_AT_ONCE = 2**22


@dataclass(frozen=True, eq=False)
class Replicates:
    """A metric of each run, as measured and on resampled examples.

    Attributes:
        outcomes: The runs.
        metric: Name of the metric.
        values: Shape ``(seeds,)``; NaN where it is undefined.
        drawn: Shape ``(seeds, resamples)``. Replicates created together, or of equally many examples, share their
            draws column by column.
    """

    outcomes: Outcomes
    metric: str
    values: np.ndarray
    drawn: np.ndarray

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(self.values.mean())


def components_of(*rows: Replicates) -> Components:
    """Where the uncertainty of a row's mean comes from, or of the first row's minus the second's.

    Only the resamples count in which the metric is defined for all runs.

    Raises:
        StatisticsError: If it is undefined for a run, or in most resamples.
    """
    metric = rows[0].metric
    pairs = [pair for row in rows for pair in zip(row.outcomes.seeds, row.values, strict=True)]
    if undefined := [str(seed) for seed, value in pairs if np.isnan(value)]:
        raise StatisticsError(
            f"{metric} is undefined for seed {', '.join(undefined)} (constant predictions or labels); "
            "check its learning curve"
        )
    kept = ~np.isnan(np.concatenate([row.drawn for row in rows])).any(axis=0)
    if kept.sum() * 2 < len(kept):
        raise StatisticsError(f"{metric} is undefined in most resamples of the examples; score more examples")
    return components([row.values for row in rows], [row.drawn[:, kept] for row in rows])


def replicates(rows: Sequence[Outcomes], metric: str, *, resamples: int = 2000, seed: int = 0) -> list[Replicates]:
    """A metric of the runs of several rows, on their examples and on resamples; all rows share examples and labels."""
    compute, labels = metric_of(metric), rows[0].labels
    stacked = np.concatenate([row.predictions for row in rows])
    values = compute(labels, stacked, np.ones((1, len(labels))))[:, 0]
    drawn = np.concatenate([compute(labels, stacked, counts) for counts in draws(len(labels), resamples, seed)], axis=1)
    ends = np.cumsum([len(row.seeds) for row in rows])[:-1]
    parts = zip(rows, np.split(values, ends), np.split(drawn, ends), strict=True)
    return [Replicates(row, metric, measured, replicated) for row, measured, replicated in parts]


def draws(examples: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each example is drawn in each resample; equal seeds give equal draws.

    Yields:
        Counts of successive blocks of resamples, shape ``(b, n)``; every row sums to n.
    """
    generator = np.random.default_rng(seed)
    most = max(1, _AT_ONCE // examples)
    for start in range(0, resamples, most):
        count = min(most, resamples - start)
        drawn = generator.integers(0, examples, (count, examples)) + examples * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * examples).reshape(count, examples).astype(np.float64)
