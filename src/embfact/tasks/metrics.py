"""The metrics of the data sets, from logits and labels. Light to import: functions import torch and torchmetrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from embfact.errors import DivergedError, UserError

if TYPE_CHECKING:
    import torch


def score(metrics: Sequence[str], logits: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """Metrics of predictions; degenerate cases are as in scikit-learn and scipy.

    Args:
        metrics: Some of accuracy, f1 (of class 1 of two), matthews, pearson, spearman.
        logits: Shape ``(n, c)`` for c classes, or ``(n, 1)`` for a regression; finite.
        labels: Shape ``(n,)``: class codes, or targets.

    Returns:
        Metric -> value in [-1, 1]; None if it is undefined (the correlation of a constant). ``matthews`` is 0 for
        constant predictions or labels of only one class; ``f1`` is 0 if nothing is of class 1.

    Raises:
        DivergedError: If logits are not finite.
        UserError: If a metric does not fit the number of classes.
        ValueError: If there are no rows, or logits and labels differ in number.
    """
    if logits.ndim != 2 or len(logits) != len(labels) or not len(labels):
        raise ValueError(
            f"logits of shape {logits.shape} do not fit labels of shape {labels.shape}; give one or more rows of each"
        )
    check_metrics(metrics, logits.shape[1])
    broken = int((~np.isfinite(logits)).any(axis=1).sum())
    if broken:
        raise DivergedError(
            f"the training diverged: logits of {broken} of {len(logits)} rows are not finite; "
            "lower optimizer.lr, or use trainer.precision=32-true"
        )
    if logits.shape[1] == 1:
        return {name: _correlation(name, logits[:, 0], labels) for name in metrics}
    predictions = logits.argmax(axis=1)
    return {name: _agreement(name, predictions, labels, logits.shape[1]) for name in metrics}


def check_metrics(metrics: Sequence[str], outputs: int) -> None:
    """Refuse metrics that a model with this many outputs (1 for a regression) cannot have, before training.

    Raises:
        UserError: With the metrics that fit.
    """
    fitting = {1: ["pearson", "spearman"], 2: ["accuracy", "f1", "matthews"]}.get(outputs, ["accuracy", "matthews"])
    wrong = [name for name in metrics if name not in fitting]
    if wrong:
        kind = "a regression" if outputs == 1 else f"{outputs} classes"
        raise UserError(f"metrics {', '.join(wrong)} do not fit {kind}; use data.metrics=[{','.join(fitting)}]")


def _agreement(name: str, predictions: np.ndarray, labels: np.ndarray, classes: int) -> float:
    from torchmetrics.functional import classification

    # torchmetrics 1.9 gives a small positive Matthews where one side is constant; by convention it is 0.
    if name == "matthews" and (_constant(predictions) or _constant(labels)):
        return 0.0
    pair = _tensor(predictions), _tensor(labels)
    if name == "accuracy":
        return float(classification.multiclass_accuracy(*pair, num_classes=classes, average="micro"))
    if name == "f1":
        return float(classification.binary_f1_score(*pair))
    return float(classification.multiclass_matthews_corrcoef(*pair, num_classes=classes))


def _correlation(name: str, predictions: np.ndarray, targets: np.ndarray) -> float | None:
    from torchmetrics.functional import regression

    if _constant(predictions) or _constant(targets):
        return None
    # Spearman is Pearson of ranks. torchmetrics 1.9 sums ranks in int32, which overflows for large groups of ties.
    pair = (_ranks(predictions), _ranks(targets)) if name == "spearman" else (predictions, targets)
    value = float(regression.pearson_corrcoef(*(_tensor(values.astype(np.float64)) for values in pair)))
    return value if math.isfinite(value) else None


def _ranks(values: np.ndarray) -> np.ndarray:
    """Rank of each value, counted from 1; equal values share the mean of their ranks."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(sizes) - (sizes - 1) / 2)[group]


def _constant(values: np.ndarray) -> bool:
    return bool((values == values[0]).all())


def _tensor(values: np.ndarray) -> torch.Tensor:
    import torch

    # A copy: labels may be views of a read-only file, about which torch warns.
    return torch.tensor(values)
