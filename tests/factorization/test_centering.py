"""`center`: 1 mu + A B reaches the optimum over mu as well, weighted or not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.factorization.base import Evidence
from embfact.factorization.evd import EVD
from embfact.factorization.fisher_svd import FisherSVD
from embfact.factorization.registry import methods
from embfact.factorization.spectral import Spectral
from embfact.factorization.svd import SVD
from embfact.factorization.weighted_svd import WeightedSVD
from embfact.models.size import model_size
from tests.helpers.storages import STORAGES

METHODS = [method for method in methods().values() if issubclass(method, Spectral)]
by_name = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


def table_of(vocab_size, hidden_size, seed=0, dtype=torch.float64):
    """Rows around a point that is far from the origin."""
    draw = np.random.default_rng(seed)
    return torch.tensor(draw.normal(size=(vocab_size, hidden_size)) + 3 * draw.normal(size=hidden_size), dtype=dtype)


def evidence_of(vocab_size, hidden_size, seed=0):
    draw = np.random.default_rng(seed)
    weights = torch.tensor(draw.permutation(1e4 / np.arange(1, vocab_size + 1)).round())
    return Evidence(weights, weights**0.7, torch.eye(hidden_size, dtype=torch.float64))


def weights_of(method, evidence, vocab_size):
    if method in (SVD, EVD):
        return torch.ones(vocab_size, dtype=torch.float64)
    return evidence.row_gradients if method is FisherSVD else evidence.token_counts


@by_name
@pytest.mark.parametrize("rank", [1, 4, 7])
def test_the_error_is_numpys_optimum_about_the_weighted_mean(method, rank):
    table, evidence = table_of(200, 10), evidence_of(200, 10)
    weights = weights_of(method, evidence, 200)

    module = method(center=True).fit(table, rank, evidence=evidence)

    mean = np.average(table.numpy(), axis=0, weights=weights.numpy())
    np.testing.assert_allclose(module.mean.detach(), mean, rtol=1e-10)
    scaled = np.sqrt(weights.numpy())[:, None] * (table.numpy() - mean)
    expected = np.square(np.linalg.svd(scaled, compute_uv=False)[rank:]).sum()
    found = (weights @ (table - module.dense()).square().sum(dim=1)).item()
    assert found == pytest.approx(expected, rel=1e-6)


@by_name
def test_it_beats_the_same_rank_without_a_mean_where_rows_share_one(method):
    table, evidence = table_of(200, 10), evidence_of(200, 10)
    weights = weights_of(method, evidence, 200)
    errors = [
        (weights @ (table - method(center=center).fit(table, 3, evidence=evidence).dense()).square().sum(dim=1)).item()
        for center in (False, True)
    ]
    assert errors[1] < 0.99 * errors[0]


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_no_weights_and_no_rows_miss_the_optimum(data):
    vocab_size, hidden_size = data.draw(st.integers(2, 20)), data.draw(st.integers(2, 8))
    rank = data.draw(st.integers(1, hidden_size))
    size = {"min_size": vocab_size, "max_size": vocab_size}
    counts = torch.tensor(data.draw(st.lists(st.integers(0, 1000), **size).filter(any)), dtype=torch.float64)
    table = table_of(vocab_size, hidden_size)[data.draw(st.lists(st.integers(0, vocab_size - 1), **size))]

    module = WeightedSVD(center=True).fit(table, rank, evidence=Evidence(counts))

    mean = np.average(table.numpy(), axis=0, weights=counts.numpy())
    scaled = np.sqrt(counts.numpy())[:, None] * (table.numpy() - mean)
    expected = np.square(np.linalg.svd(scaled, compute_uv=False)[rank:]).sum()
    found = (counts @ (table - module.dense()).square().sum(dim=1)).item()
    scale = (counts @ table.square().sum(dim=1)).item()
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12 * scale)


@by_name
def test_a_token_that_weighs_nothing_has_its_best_vector(method):
    table = table_of(50, 8)
    weights = torch.ones(50, dtype=torch.float64)
    weights[7] = 0
    evidence = Evidence(weights, weights, torch.eye(8, dtype=torch.float64))

    module = method(center=True).fit(table, 3, evidence=evidence)

    basis, rest = module.projection.weight.detach().numpy(), (table[7] - module.mean.detach()).numpy()
    best = np.linalg.lstsq(basis.T, rest, rcond=None)[0] @ basis
    np.testing.assert_allclose(module.dense()[7], best + module.mean.detach().numpy(), atol=1e-10)


@by_name
@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_the_mean_costs_one_vector_and_is_never_quantized(method, storage):
    module = method(center=True).fit(table_of(40, 12, dtype=torch.float32), 5, evidence=evidence_of(40, 12))
    module.store_tables(storage)

    assert model_size(module) == method(center=True).size(40, 12, 5, storage)
    without = method().size(40, 12, 5, storage)
    assert model_size(module).parameters == without.parameters + 12
    assert model_size(module).bytes == without.bytes + 48


@by_name
def test_full_rank_gives_the_table_back(method):
    table = table_of(60, 6, dtype=torch.float32)
    module = method(center=True).fit(table, 6, evidence=evidence_of(60, 6))
    torch.testing.assert_close(module.dense(), table, rtol=0, atol=1e-5)
