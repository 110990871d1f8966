"""Where vectors lie: how much they point the same way, and the plane in which they vary most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def anisotropy(vectors: np.ndarray) -> float | None:
    """Mean cosine of two different vectors (Ethayarajh, "How contextual are contextualized word representations?").

    Over all pairs, not a sample of them: Σ_{i≠j} u_i u_j = |Σ u_i|² - n for unit vectors u. Vectors of length zero have
    no direction and are left out. The paper (EMNLP 2019) takes a sample.

    Args:
        vectors: Shape ``(n, H)``.

    Returns:
        The mean, from about 0 (no common direction) to 1; None where fewer than two vectors have a direction.
    """
    rows = vectors.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    rows = rows[lengths > 0] / lengths[lengths > 0, None]
    count = len(rows)
    if count < 2:
        return None
    return float((np.square(rows.sum(axis=0)).sum() - count) / (count * (count - 1)))


@dataclass(frozen=True)
class Plane:
    """Vectors projected on their first two principal components.

    Attributes:
        scores: Coordinates, shape ``(n, 2)``.
        explained: Share of the variance along each.
    """

    scores: np.ndarray
    explained: tuple[float, float]


def principal_plane(vectors: np.ndarray, like: np.ndarray | None = None) -> Plane:
    """Principal component analysis in two dimensions.

    A component may as well point the other way: it is turned so that its scores are skewed to the right, or to agree
    with those of another plane. So equal vectors in other coordinates get equal scores.

    Args:
        vectors: Shape ``(n, H)``, H at least 2.
        like: Scores of the same n tokens elsewhere, shape ``(n, 2)``.

    Raises:
        ValueError: If there are no two dimensions.
    """
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    if min(centred.shape) < 2:
        raise ValueError(f"a plane takes two vectors of two dimensions (found {centred.shape[0]} x {centred.shape[1]})")
    variances, axes = np.linalg.eigh(centred.T @ centred)
    scores = centred @ axes[:, [-1, -2]]
    signs = np.sign((scores**3).sum(axis=0) if like is None else (scores * like).sum(axis=0))
    first, second = (variances[[-1, -2]] / max(variances.sum(), np.finfo(float).tiny)).tolist()
    return Plane(scores * np.where(signs < 0, -1, 1), (first, second))
