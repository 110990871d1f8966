"""Tokens grouped by frequency: ten groups of equal size, and the tokens that never occur."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DECILES = 10
UNSEEN = "unseen"


@dataclass(frozen=True)
class Group:
    """Tokens of similar frequency.

    Attributes:
        name: ``1`` (the most frequent tenth) to ``10``, or ``unseen``.
        tokens: Their ids, most frequent first, int64.
        most: Largest count among them.
        least: Smallest count among them.
        share: Their share of all occurrences of the grouped tokens.
    """

    name: str
    tokens: np.ndarray
    most: int
    least: int
    share: float


def frequency_groups(counts: np.ndarray, words: np.ndarray) -> list[Group]:
    """Deciles of the words that occur, and the words that do not.

    Ties are ordered by id. The groups partition the words; empty groups are omitted.

    Args:
        counts: Occurrences of each token, shape ``(V,)``.
        words: Which tokens are grouped, boolean, shape ``(V,)``.
    """
    order = np.argsort(-counts, kind="stable")
    seen = order[words[order] & (counts[order] > 0)]
    parts = {str(number): part for number, part in enumerate(np.array_split(seen, DECILES), 1)}
    parts[UNSEEN] = order[words[order] & (counts[order] == 0)]
    total = counts[seen].sum()
    return [
        Group(name, part, int(counts[part].max()), int(counts[part].min()), float(counts[part].sum() / max(total, 1)))
        for name, part in parts.items()
        if len(part)
    ]


def relative_error(table: np.ndarray, approximation: np.ndarray, weights: np.ndarray | None = None) -> float | None:
    """Relative squared error of an approximation: Σ w_v |W_v - Ŵ_v|² / Σ w_v |W_v|².

    Args:
        table: W, shape ``(n, H)``.
        approximation: Ŵ, shape ``(n, H)``.
        weights: w, shape ``(n,)``, or None for ones.

    Returns:
        The error, 0 if exact; None if the denominator is zero.
    """
    weighted = np.ones(len(table)) if weights is None else weights
    return share_of(weighted * squares(approximation, table), weighted * squares(table))


def squares(table: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
    """The squared norm of each row, or of its difference from another table's, in float64, shape ``(n,)``."""
    rows = table.astype(np.float64)
    if other is not None:
        rows -= other
    return np.einsum("vh,vh->v", rows, rows)


def share_of(lost: np.ndarray, whole: np.ndarray) -> float | None:
    """The sum of squared errors over the sum of squared norms; None if that is zero."""
    norm = float(whole.sum())
    return float(lost.sum()) / norm if norm > 0 else None
