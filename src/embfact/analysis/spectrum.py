"""How many directions a table uses: its singular values, and summaries of them in one number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_NOISE = 1e-7  # of the largest singular value: below that, float64 squares are rounding noise


@dataclass(frozen=True)
class Spectrum:
    """Singular values and their summaries.

    Attributes:
        values: At most H singular values, in descending order.
        effective_rank: exp of the entropy of the singular values over their sum (Roy and Vetterli, "The effective
            rank", EUSIPCO 2007): r for r equal values.
        participation_ratio: (Σ σ²)² / Σ σ⁴, the same kind of count for squared singular values.
        stable_rank: Σ σ² / max σ².
    """

    values: tuple[float, ...]
    effective_rank: float
    participation_ratio: float
    stable_rank: float


def spectrum(table: np.ndarray, weights: np.ndarray | None = None) -> Spectrum:
    """The singular values of a table, or of diag(p)^1/2 W.

    Args:
        table: W, shape ``(V, H)``.
        weights: p, shape ``(V,)``, nonnegative and not all 0; scaled to a mean of 1. None means ones.

    Raises:
        ValueError: If the table or the weights are all zero.
    """
    rows = table.astype(np.float64)
    if weights is not None:
        if not weights.any():
            raise ValueError("the weights are all zero; count tokens on text that uses this vocabulary")
        rows *= np.sqrt(weights / weights.mean())[:, None]
    small = rows if len(rows) >= rows.shape[1] else rows.T
    # H x H is small: a hundred times faster than an SVD of V x H, and as accurate down to the noise.
    squares = np.linalg.eigvalsh(small.T @ small)[::-1]
    values = np.sqrt(np.maximum(squares, 0))
    values[values <= _NOISE * values[0]] = 0
    if not values[0]:
        raise ValueError("the table is all zero; give one with values")
    squares = values**2
    total = squares.sum()
    participation, stable = total**2 / (squares @ squares), total / squares.max()
    return Spectrum(tuple(values.tolist()), effective_rank(values), float(participation), float(stable))


def effective_rank(values: np.ndarray) -> float:
    """exp(-Σ q ln q), where q is the share of each singular value in their sum; see `Spectrum`."""
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares @ np.log(shares))))
