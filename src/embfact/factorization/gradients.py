"""Gradient moments as methods use them: checked, damped and as a metric."""

from __future__ import annotations

import torch

from embfact.factorization.base import Evidence
from embfact.factorization.spectrum import Metric
from embfact.factorization.token_counts import checked_weights

SYMMETRY = 1e-6
NEGATIVE = 1e-8
NO_GRADIENT = "calibrate on more rows, or train the head first (evidence.warmup_steps)"


def checked_row_gradients(evidence: Evidence | None, vocab_size: int, method: str) -> torch.Tensor:
    """The squared gradients of the table's rows, shape ``(V,)``, in float64 on the CPU.

    Raises:
        ValueError: If the evidence has none, or they cannot weigh the rows of the table; with the name of the method.
    """
    found = None if evidence is None else evidence.row_gradients
    if found is None:
        raise ValueError(f"{method} needs row gradients (found none); pass evidence=Evidence(row_gradients=MOMENTS)")
    gradients = checked_weights(found, vocab_size, "row gradients", "take them from a model with this table")
    if not gradients.any():
        raise ValueError(f"all row gradients are 0, so no row has any weight; {NO_GRADIENT}")
    return gradients


def checked_metric(evidence: Evidence | None, hidden_size: int, damping: float, method: str) -> Metric:
    """The gradient metric, scaled to a mean diagonal of one and damped: M / mean(diag M) + damping I.

    Raises:
        ValueError: With the name of the method, if there is no metric, or it is not a symmetric positive semidefinite H
            x H matrix with a trace.
    """
    found = None if evidence is None else evidence.gradient_metric
    if found is None:
        raise ValueError(f"{method} needs a gradient metric (found none); pass evidence=Evidence(gradient_metric=M)")
    if found.shape != (hidden_size, hidden_size):
        raise ValueError(
            f"the gradient metric must be a {hidden_size} x {hidden_size} matrix, as wide as the table (found shape "
            f"{tuple(found.shape)}); take it from a model with this table"
        )
    metric = found.detach().to("cpu", torch.float64)
    if not torch.isfinite(metric).all():
        raise ValueError("the gradient metric has values that are not finite; calibrate again, in float32")
    largest = metric.abs().max().item()
    if not largest:
        raise ValueError(f"the gradient metric is 0, so no column has any weight; {NO_GRADIENT}")
    skew = (metric - metric.T).abs().max().item() / largest
    if skew > SYMMETRY:
        raise ValueError(
            f"the gradient metric is not symmetric (entries differ by {skew:.2g} of the largest); pass E[g gᵀ]"
        )
    energies, vectors = torch.linalg.eigh((metric + metric.T) / 2)
    if energies[0] < -NEGATIVE * energies[-1].abs():
        raise ValueError(
            f"the gradient metric is not positive semidefinite (smallest eigenvalue {energies[0].item():.2g}, largest "
            f"{energies[-1].item():.2g}); pass E[g gᵀ]"
        )
    scaled = energies.clamp(min=0)
    roots = (scaled / scaled.mean() + damping).sqrt()
    return Metric((vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T)
