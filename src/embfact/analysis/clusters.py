"""Clusters of vectors by k-means: the tokens that stand for each, and how well clusters of texts meet their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from threadpoolctl import threadpool_limits

SEED = 0
CLUSTERS = 20  # of tokens
PUREST = 10  # tokens shown of each
_STARTS = 3


@dataclass(frozen=True)
class Clusters:
    """A division of vectors.

    Attributes:
        labels: Cluster of each vector, the largest cluster is 0, shape ``(n,)``.
        ratios: Distance to the centroid of its cluster over the distance to the next nearest centroid, shape ``(n,)``:
            0 at the centroid, 1 on the border.
    """

    labels: np.ndarray
    ratios: np.ndarray

    def purest(self, cluster: int, most: int = PUREST) -> np.ndarray:
        """Positions of the vectors of a cluster that are least between it and another one, shape ``(up to most,)``."""
        members = np.flatnonzero(self.labels == cluster)
        return members[np.argsort(self.ratios[members], kind="stable")[:most]]


def cluster(vectors: np.ndarray, count: int = CLUSTERS, seed: int = SEED) -> Clusters:
    """Clusters by k-means (k-means++, the best of three starts).

    Args:
        vectors: Shape ``(n, H)``.
        count: How many clusters; fewer where there are not so many vectors.
        seed: Decides the starts.
    """
    count = min(count, len(vectors))
    # One thread: several add up their sums in whatever order they end, which changes the last bits.
    with threadpool_limits(limits=1, user_api="openmp"):
        means = KMeans(count, n_init=_STARTS, random_state=seed).fit(vectors)
    distances = np.sort(means.transform(vectors), axis=1)
    ratios = np.zeros(len(vectors))
    if count > 1:
        np.divide(distances[:, 0], distances[:, 1], out=ratios, where=distances[:, 1] > 0)
    order = np.argsort(-np.bincount(means.labels_, minlength=count), kind="stable")
    return Clusters(np.argsort(order)[means.labels_], ratios)


@dataclass(frozen=True)
class Agreement:
    """How well two divisions of the same things agree: 1 for equal ones, about 0 for unrelated ones.

    Attributes:
        ari: Adjusted Rand index (Hubert and Arabie, 1985).
        nmi: Mutual information over the mean of both entropies.
    """

    ari: float
    nmi: float


def agreement(one: np.ndarray, other: np.ndarray) -> Agreement:
    """The agreement of two divisions, each the number of a cluster or class for every thing, shape ``(n,)``."""
    return Agreement(float(adjusted_rand_score(one, other)), float(normalized_mutual_info_score(one, other)))
