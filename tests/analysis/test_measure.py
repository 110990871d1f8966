"""Figures of a table: what loses nothing keeps everything, and what is lost is counted by its definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import cosine_similarity

from embfact.analysis.clusters import cluster
from embfact.analysis.measure import Measurement, unit_rows
from embfact.embeddings.low_rank import LowRankEmbedding


def test_the_dense_table_keeps_everything(measurement: Measurement) -> None:
    found = measurement.figures(measurement.dense)
    assert (found.error, found.weighted_error, found.word_error) == (0, 0, 0)
    assert found.recall == 1
    assert all((group.error, group.recall) == (0, 1) for group in found.groups)


def test_clusters_of_the_dense_table_are_compared_with_its_own_at_another_seed(measurement: Measurement) -> None:
    rows = unit_rows(measurement.dense.table[measurement.occurring])
    expected = adjusted_rand_score(cluster(rows, seed=0).labels, cluster(rows, seed=1).labels)
    assert measurement.figures(measurement.dense).same_clusters.ari == pytest.approx(expected)
    assert expected < 1


def test_factors_of_full_rank_keep_everything(measurement: Measurement, table: np.ndarray) -> None:
    left, values, right = np.linalg.svd(table.astype(float), full_matrices=False)
    factors = LowRankEmbedding.from_factors(torch.tensor(left * values), torch.tensor(right))
    whole = replace(measurement.dense, name="svd r12", table=factors.dense().float().numpy())
    dense, found = measurement.figures(measurement.dense), measurement.figures(whole)
    assert found.error == pytest.approx(0, abs=1e-12)
    assert found.recall == 1
    assert found.same_clusters.ari == 1
    assert found.neighbours == dense.neighbours
    np.testing.assert_allclose(found.spectrum.values, dense.spectrum.values, rtol=1e-6)
    np.testing.assert_allclose(list(found.plane.values()), list(dense.plane.values()), atol=1e-5)


def test_turning_the_table_keeps_all_but_the_numbers_themselves(measurement: Measurement, table: np.ndarray) -> None:
    turned = (table @ ortho_group.rvs(12, random_state=np.random.default_rng(5))).astype(np.float32)
    dense = measurement.figures(measurement.dense)
    found = measurement.figures(replace(measurement.dense, name="turned", table=turned))
    assert found.recall == 1
    assert found.same_clusters.ari == pytest.approx(1)
    assert found.anisotropy == pytest.approx(dense.anisotropy, abs=1e-6)
    assert found.spectrum.effective_rank == pytest.approx(dense.spectrum.effective_rank)
    assert found.texts["token mean"].clusters == dense.texts["token mean"].clusters
    np.testing.assert_allclose(list(found.plane.values()), list(dense.plane.values()), atol=1e-4)
    assert found.error is not None
    assert found.error > 0.5


def test_groups_and_weights_by_their_definitions(measurement: Measurement, table: np.ndarray) -> None:
    other = table.round()
    found, weights = measurement.figures(replace(measurement.dense, table=other)), measurement.weights
    lost, whole = ((other - table) ** 2).sum(axis=1), (table**2).sum(axis=1)
    assert found.error == pytest.approx(lost.sum() / whole.sum())
    assert found.weighted_error == pytest.approx(weights @ lost / (weights @ whole))
    assert found.word_error == pytest.approx(weights[2:] @ lost[2:] / (weights[2:] @ whole[2:]))
    for group, limits in zip(found.groups, measurement.groups, strict=True):
        assert group.error == pytest.approx(lost[limits.tokens].sum() / whole[limits.tokens].sum())
    occurring = [group.recall for group in found.groups if group.group != "unseen"]
    sizes = [len(group.tokens) for group in measurement.groups if group.name != "unseen"]
    assert found.recall == pytest.approx(np.average(occurring, weights=sizes))
    assert 0 < found.recall < 1


def test_neighbours_of_named_words_are_words_and_never_special(measurement: Measurement, table: np.ndarray) -> None:
    cosines = cosine_similarity(table)
    cosines[:, :2] = -2
    np.fill_diagonal(cosines, -2)
    found = measurement.figures(measurement.dense)
    for word, token in measurement.named.items():
        assert found.neighbours[word] == tuple(f"w{other}" for other in np.argsort(-cosines[token])[:10])


def test_clusters_hold_all_words_that_occur(measurement: Measurement) -> None:
    found = measurement.figures(measurement.dense)
    assert sum(one.size for one in found.clusters) == 78
    assert sum(one.share for one in found.clusters) == pytest.approx(1)
    assert [one.size for one in found.clusters] == sorted((one.size for one in found.clusters), reverse=True)
    assert not {"w0", "w1", "w85"} & {word for one in found.clusters for word in one.purest}


def test_texts_without_classes_have_no_clusters(measurement: Measurement) -> None:
    texts = replace(measurement.texts, classes=None)
    without = Measurement(measurement.dense, measurement.counts, measurement.weights, measurement.vocabulary, {}, texts)
    found = without.figures(measurement.dense)
    assert [figures.clusters for figures in found.texts.values()] == [None, None]
    assert (found.neighbours, found.plane) == ({}, {})
