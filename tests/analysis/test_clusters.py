"""Clusters: known ones are found again, the purest are those of the definition, the seed decides everything."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import contingency, entropy
from sklearn.datasets import make_blobs

from embfact.analysis.clusters import PUREST, agreement, cluster


def blobs() -> tuple[np.ndarray, np.ndarray]:
    vectors, labels = make_blobs([50, 30, 20], centers=[[0, 0], [9, 0], [0, 9]], random_state=0)
    return vectors, labels


def test_clusters_far_apart_are_found_the_largest_first() -> None:
    vectors, labels = blobs()
    found = cluster(vectors, 3)
    assert found.labels.tolist() == labels.tolist()
    assert agreement(labels, found.labels).ari == 1


def test_the_purest_are_nearest_to_their_centre_in_relation_to_the_next_one() -> None:
    vectors, labels = blobs()
    centres = np.array([vectors[labels == number].mean(axis=0) for number in range(3)])
    distances = cdist(vectors, centres)
    for number in range(3):
        others = np.delete(distances, number, axis=1).min(axis=1)
        members = np.flatnonzero(labels == number)
        expected = sorted(members, key=lambda member: distances[member, number] / others[member])
        assert cluster(vectors, 3).purest(number).tolist() == expected[:PUREST]


def test_the_same_seed_gives_the_same_clusters() -> None:
    vectors = np.random.default_rng(0).standard_normal((300, 5))
    one, other = cluster(vectors, 8), cluster(vectors, 8)
    assert one.labels.tobytes() == other.labels.tobytes()
    assert one.ratios.tobytes() == other.ratios.tobytes()


def test_fewer_vectors_than_clusters_are_a_cluster_each() -> None:
    assert sorted(cluster(np.array([[0.0], [5.0]]), 20).labels) == [0, 1]
    assert cluster(np.array([[1.0, 2.0]]), 4).purest(0).tolist() == [0]


def test_agreement_against_written_out_references() -> None:
    draw = np.random.default_rng(1)
    one, other = draw.integers(0, 3, 200), draw.integers(0, 4, 200)
    table = contingency.crosstab(one, other).count
    joint, rows, columns = table / 200, table.sum(axis=1) / 200, table.sum(axis=0) / 200
    mutual = entropy(rows) + entropy(columns) - entropy(joint.ravel())
    found = agreement(one, other)
    assert found.nmi == pytest.approx(mutual / ((entropy(rows) + entropy(columns)) / 2))

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1) / 2).sum())

    same, a, b = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = a * b / pairs(np.array([200]))
    assert found.ari == pytest.approx((same - expected) / ((a + b) / 2 - expected))
    assert agreement(one, 7 - one).ari == agreement(one, 7 - one).nmi == pytest.approx(1)
