"""k-means clusters of vectors: the tokens that typify each, and how well clusters of texts match their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from threadpoolctl import threadpool_limits

SEED = 0
CLUSTERS = 20  # of tokens
PUREST = 10  # tokens shown per cluster
_STARTS = 3


@dataclass(frozen=True)
class Clusters:
    """A partition of vectors.

    Attributes:
        labels: Cluster of each vector, by falling size (0 is the largest), shape ``(n,)``.
        ratios: Distance to the nearest centroid over the distance to the second nearest, shape ``(n,)``: 0 at the
            centroid, 1 on the border.
    """

    labels: np.ndarray
    ratios: np.ndarray

    def purest(self, cluster: int) -> np.ndarray:
        """Indices of the vectors of a cluster with the smallest ratios, shape ``(up to PUREST,)``."""
        members = np.flatnonzero(self.labels == cluster)
        return members[np.argsort(self.ratios[members], kind="stable")[:PUREST]]


def cluster(vectors: np.ndarray, count: int = CLUSTERS, seed: int = SEED) -> Clusters:
    """Cluster vectors of shape ``(n, H)`` by k-means (k-means++, best of three starts); at most n clusters."""
    count = min(count, len(vectors))
    # One thread: several add their sums in an undefined order, which changes the last bits.
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
    """How well two partitions of the same items agree: 1 if equal, about 0 if unrelated.

    Attributes:
        ari: Adjusted Rand index (Hubert and Arabie, 1985).
        nmi: Mutual information divided by the mean of both entropies.
    """

    ari: float
    nmi: float


def agreement(one: np.ndarray, other: np.ndarray) -> Agreement:
    """Agreement of two partitions, each given as a cluster or class number per item, shape ``(n,)``."""
    return Agreement(float(adjusted_rand_score(one, other)), float(normalized_mutual_info_score(one, other)))
