"""The metrics of `embfact.tasks.metrics`, weighted and vectorized over resamples.

A resample of n examples with replacement is a row of n counts (weights): an example drawn twice counts twice.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from embfact.errors import UserError, nearest

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
# Rounding leaves at most this share of the mean square where the variance is 0.
_NO_VARIANCE = 1e-12


def metric_of(name: str) -> Metric:
    """The weighted form of a metric.

    Args:
        name: accuracy, f1 (of class 1), matthews, pearson or spearman.

    Returns:
        A function of labels ``(n,)``, predictions ``(n,)`` or ``(runs, n)`` and weights ``(b, n)`` that returns
        ``(b,)`` or ``(runs, b)``. With integer weights it equals the metric on the repeated examples. Degenerate cases
        are treated as in `embfact.tasks.metrics.score`, with NaN where a correlation is undefined.

    Raises:
        UserError: For an unknown name.
    """
    if name not in _METRICS:
        raise UserError(f"there is no metric {name!r}; {nearest(name, _METRICS)}")
    metric = _METRICS[name]

    def weighted(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
        values = metric(labels, np.atleast_2d(predictions), weights.astype(np.float64, copy=False))
        return values if predictions.ndim == 2 else values[0]

    return weighted


def plain_metric(name: str, labels: np.ndarray, predictions: np.ndarray) -> float | None:
    """The unweighted metric of labels and predictions, both ``(n,)``; None if it is undefined."""
    value = float(metric_of(name)(labels, predictions, np.ones((1, len(labels))))[0])
    return None if np.isnan(value) else value


def _f1(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    both = _sums((predictions == 1) & (labels == 1), weights)
    either = _sums(predictions == 1, weights) + _sums(labels[None] == 1, weights)
    return _ratio(2 * both, either)


def _matthews(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The R_K statistic of Gorodkin (2004): the Matthews correlation for any number of classes."""
    total = weights.sum(axis=1)
    covariance = total * _sums(predictions == labels, weights)
    predicted_variance, true_variance = total**2, total**2
    for code in np.unique(labels):
        covariance = covariance - _sums(predictions == code, weights) * _sums(labels[None] == code, weights)
        true_variance = true_variance - _sums(labels[None] == code, weights) ** 2
    for code in np.unique(predictions):
        predicted_variance = predicted_variance - _sums(predictions == code, weights) ** 2
    return _ratio(covariance, np.sqrt(predicted_variance * true_variance))


def _pearson(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    # Centred before multiplying, which loses less precision for large values that differ little.
    x = predictions - predictions.mean(axis=1, keepdims=True, dtype=np.float64)
    y = (labels - labels.mean(dtype=np.float64))[None]
    total = weights.sum(axis=1)
    mean_x, mean_y = _sums(x, weights) / total, _sums(y, weights) / total
    square_x, square_y = _sums(x * x, weights) / total, _sums(y * y, weights) / total
    return _correlation(_sums(x * y, weights) / total, mean_x, mean_y, square_x, square_y)


def _spearman(labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson correlation of the ranks within each resample; ties share their mean rank."""
    counts = np.ascontiguousarray(weights.T)  # examples get sorted, and rows move faster than columns
    total = weights.sum(axis=1)
    order, starts = _order(labels)
    sizes, ranks = _groups(counts[order], starts)
    square_y = (sizes * ranks**2).sum(axis=0) / total
    counted_y = np.empty_like(counts)
    counted_y[order] = np.repeat(ranks, np.diff([*starts, len(labels)]), axis=0)
    counted_y *= counts
    values = []
    for one in predictions:
        order, starts = _order(one)
        sizes, ranks = _groups(counts[order], starts)
        both = (_added(counted_y[order], starts) * ranks).sum(axis=0) / total
        # The ranks are centred already.
        values.append(_correlation(both, 0.0, 0.0, (sizes * ranks**2).sum(axis=0) / total, square_y))
    return np.stack(values)


def _order(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order of the values, and the starts of groups of equal values in it."""
    order = np.argsort(values, kind="stable")
    return order, np.flatnonzero(np.r_[True, np.diff(values[order]) != 0])


def _groups(counts: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sizes of the groups in each resample and their centred ranks, both of shape ``(groups, b)``."""
    sizes = _added(counts, starts)
    ends = np.cumsum(sizes, axis=0)
    return sizes, ends - sizes / 2 - ends[-1] / 2


def _added(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return rows if len(starts) == len(rows) else np.add.reduceat(rows, starts, axis=0)


def _correlation(
    both: np.ndarray, mean_x: np.ndarray | float, mean_y: np.ndarray | float, square_x: np.ndarray, square_y: np.ndarray
) -> np.ndarray:
    variance_x, variance_y = square_x - mean_x**2, square_y - mean_y**2
    defined = (variance_x > _NO_VARIANCE * square_x) & (variance_y > _NO_VARIANCE * square_y)
    product = np.where(defined, variance_x * variance_y, 1.0)
    return np.where(defined, np.clip((both - mean_x * mean_y) / np.sqrt(product), -1.0, 1.0), np.nan)


def _sums(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sums of the rows of values, shape ``(rows, b)``."""
    return values.astype(np.float64) @ weights.T


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """A quotient that is 0 where the denominator is 0."""
    return np.divide(above, below, out=np.zeros(np.broadcast_shapes(above.shape, below.shape)), where=below > 0)


_METRICS: dict[str, Metric] = {
    "accuracy": lambda labels, predictions, weights: _sums(predictions == labels, weights) / weights.sum(axis=1),
    "f1": _f1,
    "matthews": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
}
