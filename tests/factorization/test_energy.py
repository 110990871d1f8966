"""A share of energy picks the smallest rank that retains it, by the singular values that numpy finds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.factorization.base import Evidence
from embfact.factorization.fisher_svd import FisherSVD
from embfact.factorization.kronecker_svd import KroneckerSVD
from embfact.factorization.random import Random
from embfact.factorization.registry import methods
from embfact.factorization.spectral import Spectral
from embfact.factorization.svd import SVD
from embfact.factorization.weighted_svd import WeightedSVD

METHODS = [method for method in methods().values() if issubclass(method, Spectral)]
by_name = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
DRAW = np.random.default_rng(0)
TABLE = torch.tensor(DRAW.normal(size=(300, 20)) / np.sqrt(np.arange(1, 21)) + 0.1)
COUNTS = torch.tensor(DRAW.permutation(1e4 / np.arange(1, 301)).round())
METRIC = np.cov(DRAW.normal(size=(20, 60)) * np.arange(1, 21)[:, None])
EVIDENCE = Evidence(COUNTS, COUNTS**0.5, torch.tensor(METRIC))


def retained(method, center):
    """Share of the weighted squared norm that each rank from 0 on retains."""
    weights = {WeightedSVD: COUNTS, KroneckerSVD: COUNTS, FisherSVD: COUNTS**0.5}.get(method, torch.ones(300)).numpy()
    columns = np.eye(20)
    if method is KroneckerSVD:
        columns = np.linalg.cholesky(METRIC + 0.1 * np.diag(METRIC).mean() * np.eye(20))
    mean = np.average(TABLE.numpy(), axis=0, weights=weights) if center else 0
    scaled, whole = (np.sqrt(weights)[:, None] * (TABLE.numpy() - away) @ columns for away in (mean, 0))
    tails = np.cumsum(np.square(np.linalg.svd(scaled, compute_uv=False))[::-1])[::-1]
    return 1 - np.r_[tails, 0] / np.square(whole).sum()


@by_name
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("energy", [0.01, 0.3, 0.5, 0.9, 0.99])
def test_it_is_the_smallest_rank_that_retains_the_share(method, center, energy):
    shares = retained(method, center)
    rank = method(center=center).rank_for_energy(TABLE, energy, EVIDENCE)

    assert method.knows_energy
    assert shares[rank] >= energy
    assert rank == 1 or shares[rank - 1] < energy


@by_name
def test_all_of_it_takes_the_rank_of_the_table(method):
    assert method().rank_for_energy(TABLE, 1, EVIDENCE) == 20
    deficient = TABLE[:, :5] @ torch.tensor(DRAW.normal(size=(5, 20)))
    assert method().rank_for_energy(deficient, 1, EVIDENCE) == 5


def test_a_large_table_is_asked_for_more_axes_until_they_suffice():
    draw = np.random.default_rng(1)
    singular = np.arange(1, 513) ** -0.5
    left, right = (np.linalg.qr(draw.normal(size=(n, 512)))[0] for n in (1500, 512))
    table = torch.tensor(left * singular @ right.T, dtype=torch.float32)
    share = np.cumsum(singular**2) / np.square(singular).sum()
    for energy in (0.3, 0.55, 0.65, 0.9):
        found = SVD(route="randomized").rank_for_energy(table, energy)
        assert found == pytest.approx(1 + int(np.searchsorted(share, energy)), abs=1)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 10), st.floats(1e-3, 1), st.integers(0, 99))
def test_more_energy_never_takes_a_smaller_rank(vocab_size, hidden_size, energy, seed):
    table = torch.tensor(np.random.default_rng(seed).normal(size=(vocab_size, hidden_size)))
    ranks = [SVD().rank_for_energy(table, share) for share in (energy / 2, energy, 1)]
    assert ranks == sorted(ranks)
    assert 1 <= ranks[0] <= ranks[-1] <= min(vocab_size, hidden_size)


@pytest.mark.parametrize("energy", [0, -0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(energy):
    with pytest.raises(ValueError, match="energy must be a share above 0 and at most 1"):
        SVD().rank_for_energy(TABLE, energy)


def test_a_method_without_singular_values_says_so():
    assert not Random.knows_energy
    with pytest.raises(ValueError, match="set rank or budget"):
        Random().rank_for_energy(TABLE, 0.9)
