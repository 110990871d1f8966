"""Anisotropy against all pairs, principal components against scikit-learn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity

from embfact.analysis.measure import anisotropy, principal_plane
from embfact.embeddings.low_rank import LowRankEmbedding


def test_anisotropy_is_the_mean_over_all_pairs() -> None:
    vectors = np.random.default_rng(0).standard_normal((30, 4)) + 0.5
    cosines = cosine_similarity(vectors)
    assert anisotropy(vectors) == pytest.approx(np.mean([cosines[pair] for pair in combinations(range(30), 2)]))


def test_one_direction_gives_one_opposite_ones_minus_one_and_axes_zero() -> None:
    assert anisotropy(np.outer([1.0, 2, 5], [3.0, 4])) == pytest.approx(1)
    assert anisotropy(np.array([[1.0, 0], [-2.0, 0]])) == pytest.approx(-1)
    assert anisotropy(np.eye(5)) == pytest.approx(0)


def test_vectors_without_a_direction_are_left_out() -> None:
    assert anisotropy(np.array([[1.0, 0], [0, 0], [1.0, 1]])) == pytest.approx(np.sqrt(0.5))
    assert anisotropy(np.array([[1.0, 0], [0, 0]])) is None


def test_the_plane_is_that_of_scikit_learn_up_to_signs() -> None:
    vectors = np.random.default_rng(1).standard_normal((80, 6)) * [5, 3, 2, 1, 1, 1] + 7
    found, reference = principal_plane(vectors), PCA(2).fit(vectors)
    np.testing.assert_allclose(np.abs(found.scores), np.abs(reference.transform(vectors)), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found.explained, reference.explained_variance_ratio_, rtol=1e-8)


def test_a_plane_does_not_depend_on_coordinates_and_agrees_with_the_one_it_is_like() -> None:
    vectors = np.random.default_rng(2).standard_normal((80, 4)) * [5, 3, 1, 1]
    turned = vectors @ ortho_group.rvs(4, random_state=np.random.default_rng(3)) + 2
    plane = principal_plane(vectors)
    np.testing.assert_allclose(principal_plane(turned).scores, plane.scores, atol=1e-8)
    np.testing.assert_allclose(principal_plane(-vectors, like=plane.scores).scores, plane.scores, atol=1e-8)


def test_the_plane_of_a_table_is_that_of_its_factors_in_an_orthonormal_basis() -> None:
    torch.manual_seed(0)
    embedding = LowRankEmbedding.from_factors(torch.randn(60, 5).double(), torch.randn(5, 12).double())
    basis, change = np.linalg.qr(embedding.projection.matrix().detach().numpy().T)
    factors = embedding.factors.matrix().detach().numpy() @ change.T
    np.testing.assert_allclose(factors @ basis.T, embedding.dense().numpy(), atol=1e-10)
    of_table, of_factors = principal_plane(embedding.dense().numpy()), principal_plane(factors)
    np.testing.assert_allclose(of_table.scores, of_factors.scores, atol=1e-8)


def test_a_line_has_no_plane() -> None:
    with pytest.raises(ValueError, match="two dimensions"):
        principal_plane(np.ones((5, 1)))
