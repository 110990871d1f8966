"""`hashed` starts hash embeddings from the table, by alternating least squares that never go uphill."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.embeddings.hashed import PRIME, hash_functions, hash_ids
from embfact.embeddings.layout import Storage
from embfact.factorization.base import Evidence
from embfact.factorization.hashed import STEPS, Hashed, fit_buckets


def table_of(vocab_size, hidden_size, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=(vocab_size, hidden_size)))


def places_of(vocab_size, hashes, buckets, seed=0):
    return hash_ids(torch.arange(vocab_size), hash_functions(hashes, seed), buckets)


def design(places, importance, buckets):
    """Q, which takes the shared vectors to the rows: (V, B)."""
    matrix = np.zeros((len(places), buckets))
    for token, (mine, weights) in enumerate(zip(places.tolist(), importance.tolist(), strict=True)):
        for place, weight in zip(mine, weights, strict=True):
            matrix[token, place] += weight
    return matrix


def weighted_error(table, weights, rows):
    return weights.numpy() @ np.square(table.numpy() - rows).sum(axis=1)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_step_raises_the_weighted_error(data):
    vocab_size, hidden_size = data.draw(st.integers(2, 40)), data.draw(st.integers(1, 8))
    hashes, buckets = data.draw(st.integers(1, 4)), data.draw(st.integers(1, vocab_size))
    counts = data.draw(st.lists(st.integers(0, 10_000), min_size=vocab_size, max_size=vocab_size))
    table = table_of(vocab_size, hidden_size)
    table[data.draw(st.lists(st.integers(0, vocab_size - 1)))] = 0
    weights = torch.tensor(counts).double() + 1
    places = places_of(vocab_size, hashes, buckets, data.draw(st.integers(0, 99)))

    found = fit_buckets(table, places, weights, buckets, rounds=4)

    rounding = 1e-10 * weighted_error(table, weights, 0 * table.numpy())
    assert all(later <= before + rounding for before, later in zip(found.errors, found.errors[1:], strict=False))
    rows = design(places, found.importance, buckets) @ found.vectors.numpy()
    assert found.errors[-1] == pytest.approx(weighted_error(table, weights, rows), rel=1e-9, abs=rounding)


@pytest.mark.parametrize("hashes", [1, 2, 3])
def test_each_half_of_a_round_ends_at_its_least_squares_optimum(hashes):
    table, weights = table_of(60, 7), torch.tensor(np.random.default_rng(1).integers(1, 500, size=60)).double()
    places, root = places_of(60, hashes, STEPS), weights.sqrt().unsqueeze(1).numpy()

    found = fit_buckets(table, places, weights, STEPS, rounds=1)

    matrix = root * design(places, torch.ones(60, hashes), STEPS)
    vectors, *_ = np.linalg.lstsq(matrix, root * table.numpy(), rcond=None)
    best = np.square(matrix @ vectors - root * table.numpy()).sum()
    assert found.errors[0] == pytest.approx(best, rel=1e-6)
    best = 0
    for row, mine, weight in zip(table.numpy(), places, weights.tolist(), strict=True):
        met = found.vectors.numpy()[mine.tolist()].T
        best += weight * np.square(met @ np.linalg.lstsq(met, row, rcond=None)[0] - row).sum()
    assert found.errors[1] == pytest.approx(best, rel=1e-6)


def test_the_module_holds_what_was_fitted():
    table, counts = table_of(50, 6), torch.arange(50.0)
    module = Hashed(rounds=3).fit(table, 9, evidence=Evidence(counts), seed=4)
    weights = (counts.double() + 1) / (counts + 1).sum().double()

    found = fit_buckets(table, places_of(50, 2, 9, seed=4), weights, 9, rounds=3)

    error = weights @ (table - module.dense()).square().sum(dim=1)
    assert error.item() == pytest.approx(found.errors[-1], rel=1e-9)


def test_frequent_tokens_are_fitted_first():
    table, counts = table_of(1000, 16), torch.tensor(np.random.default_rng(0).permutation(1e5 / np.arange(1, 1001)))
    weighted, alike = (
        weighted_error(
            table, counts, Hashed(smoothing=smoothing).fit(table, 100, evidence=Evidence(counts)).dense().numpy()
        )
        for smoothing in (1, 1e9)
    )
    assert weighted < 0.5 * alike


def test_more_hashes_and_more_rounds_come_nearer():
    table, evidence = table_of(400, 16), Evidence(torch.ones(400))

    def error(**options):
        return (table - Hashed(**options).fit(table, 80, evidence=evidence).dense()).square().sum().item()

    assert error(hashes=3) < error(hashes=2) < error(hashes=1)
    assert error(rounds=5) < error(rounds=1) < table.square().sum().item()


@pytest.mark.parametrize("seed", [0, 1, 2**63])
def test_hash_functions_are_those_of_the_formula_and_spread_the_ids(seed):
    functions = hash_functions(2, seed)
    ids = [0, 1, 30521, 250_000, PRIME - 1]
    expected = [[(a * token + b) % PRIME % 100 for a, b in functions] for token in ids]

    assert hash_ids(torch.tensor(ids), functions, 100).tolist() == expected
    assert hash_ids(torch.tensor(ids, dtype=torch.int32), functions, 100).tolist() == expected
    assert functions == hash_functions(2, seed) != hash_functions(2, seed + 1)
    for places in hash_ids(torch.arange(30_000), functions, 100).T:
        filled = torch.bincount(places, minlength=100)
        assert filled.min() > 150
        assert filled.max() < 600


def test_two_tokens_rarely_meet_twice():
    places = places_of(2000, 2, 200)
    pairs = len({tuple(sorted(mine)) for mine in places.tolist()})
    assert pairs > 1850


def test_sizes_of_a_real_table():
    size = Hashed().size(30522, 384, 3000)
    assert size.parameters == 3000 * 384 + 2 * 30522
    assert size.bytes == 4 * size.parameters
    assert Hashed(hashes=4).size(30522, 384, 3000, Storage("int8", "row")).bytes == 3000 * (384 + 3) + 30522 * (4 + 3)
    with pytest.raises(ValueError, match=r"buckets.*does not shrink.*largest rank that does is"):
        Hashed().check_size(30522, 384, 30400)
