"""`hybrid_svd` keeps the frequent rows and fits its factors to all others."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.factorization.base import Evidence
from embfact.factorization.hybrid_svd import HybridSVD
from embfact.factorization.weighted_svd import WeightedSVD
from embfact.models.size import model_size
from tests.helpers.storages import STORAGES


def zipf_counts(vocab_size, unseen=0, seed=0):
    draw = np.random.default_rng(seed)
    counts = draw.permutation(1e6 / np.arange(1, vocab_size + 1)).round()
    counts[draw.choice(vocab_size, size=unseen, replace=False)] = 0
    return torch.tensor(counts)


def table_of(vocab_size, hidden_size, seed=0, dtype=torch.float64):
    return torch.tensor(np.random.default_rng(seed).normal(size=(vocab_size, hidden_size)), dtype=dtype)


def frequent(counts, number):
    """The most frequent ids, the smaller id first of equals, by plain sorting."""
    return sorted(sorted(range(len(counts)), key=lambda token: (-float(counts[token]), token))[:number])


def weighted_error(table, weights, module):
    """Sum over tokens of weight times |W_v - vector_v|²."""
    return (weights @ (table - module.dense()).square().sum(dim=1)).item()


def optimum(table, weights, exact, rank):
    """Squared singular values beyond the rank, by numpy, of the scaled rows that are not exact."""
    rest = np.setdiff1d(np.arange(len(table)), exact)
    scaled = np.sqrt(weights.numpy()[rest])[:, None] * table.numpy()[rest]
    return np.square(np.linalg.svd(scaled, compute_uv=False)[rank:]).sum()


def rank_of(exact_rows, inner, vocab_size, hidden_size):
    """The rank that pays for K exact rows and q axes."""
    return inner - (-exact_rows * (hidden_size + 1) // (vocab_size + hidden_size))


@pytest.mark.parametrize("smoothing", [0, 1, 5e3])
@pytest.mark.parametrize("unseen", [0, 150])
@pytest.mark.parametrize(("exact_rows", "inner"), [(1, 9), (40, 5), (120, 1)])
def test_the_error_is_the_optimum_of_the_rows_that_are_not_exact(smoothing, unseen, exact_rows, inner):
    table, counts = table_of(300, 16), zipf_counts(300, unseen)
    weights = counts + smoothing
    exact = frequent(counts, exact_rows)
    rank = rank_of(exact_rows, inner, 300, 16)

    module = HybridSVD(exact_rows=exact_rows, smoothing=smoothing).fit(table, rank, evidence=Evidence(counts))

    assert module.exact_ids.tolist() == exact
    assert module.shared.rank == inner
    expected = optimum(table, weights, exact, inner)
    assert expected > 0
    assert weighted_error(table, weights, module) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_table_and_no_counts_miss_the_optimum(data):
    vocab_size, hidden_size = data.draw(st.integers(3, 30)), data.draw(st.integers(2, 10))
    method = HybridSVD(exact_share=data.draw(st.floats(0.01, 0.99)))
    rank = data.draw(st.integers(2, hidden_size))
    size = {"min_size": vocab_size, "max_size": vocab_size}
    counts = torch.tensor(data.draw(st.lists(st.integers(0, 1000), **size).filter(any)), dtype=torch.float64)
    table = table_of(vocab_size, hidden_size)[data.draw(st.lists(st.integers(0, vocab_size - 1), **size))]

    module = method.fit(table, rank, evidence=Evidence(counts))

    exact_rows, inner = method.split(vocab_size, hidden_size, rank)
    exact = frequent(counts, exact_rows)
    assert module.exact_ids.tolist() == exact
    found = weighted_error(table, counts + 1, module)
    assert found == pytest.approx(optimum(table, counts + 1, exact, inner), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-14), (torch.float32, 1e-6), (torch.float16, 5e-3), (torch.bfloat16, 4e-2)],
)
def test_the_exact_tokens_have_their_vectors(dtype, tolerance):
    table, counts = table_of(200, 12, dtype=dtype), zipf_counts(200)
    exact = frequent(counts, 30)

    vectors = HybridSVD(exact_rows=30).fit(table, 5, evidence=Evidence(counts)).dense()

    torch.testing.assert_close(vectors[exact], table[exact], rtol=tolerance, atol=tolerance)
    others = np.setdiff1d(np.arange(200), exact)
    assert ((vectors - table)[others].norm(dim=1) > 0.1).all()


def test_the_rows_of_a_that_belong_to_exact_tokens_are_their_projections():
    table, counts = table_of(200, 12), zipf_counts(200)
    shared = HybridSVD(exact_rows=30).fit(table, 5, evidence=Evidence(counts)).shared
    torch.testing.assert_close(shared.factors.weight, table @ shared.projection.weight.T)


def test_where_all_counted_tokens_are_exact_the_others_weigh_the_same():
    table, counts = table_of(100, 10), torch.zeros(100)
    counts[10:20] = 5

    module = HybridSVD(exact_rows=12, smoothing=0).fit(table, rank_of(12, 3, 100, 10), evidence=Evidence(counts))

    exact = [0, 1, *range(10, 20)]
    assert module.exact_ids.tolist() == exact
    expected = optimum(table, torch.ones(100, dtype=torch.float64), exact, 3)
    assert (table - module.dense()).square().sum().item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("padding_idx", [7, -13])
def test_the_padding_token_is_never_exact(padding_idx):
    counts = torch.arange(20.0)
    counts[7] = 1000
    module = HybridSVD(exact_rows=19).fit(table_of(20, 8), 8, evidence=Evidence(counts), padding_idx=padding_idx)

    assert module.padding_idx == 7
    assert module.exact_ids.tolist() == [token for token in range(20) if token != 7]
    assert counts[7] == 1000, "the evidence is shared by other runs"


def test_it_beats_weighted_svd_of_its_own_size_on_text_as_zipf_has_it():
    table, counts = table_of(2000, 32), zipf_counts(2000)
    hybrid = HybridSVD().fit(table, 8, evidence=Evidence(counts))
    weighted = WeightedSVD().fit(table, 8, evidence=Evidence(counts))

    assert model_size(hybrid).bytes <= model_size(weighted).bytes
    assert weighted_error(table, counts, hybrid) < 0.5 * weighted_error(table, counts, weighted)


@pytest.mark.parametrize("storage", STORAGES, ids=str)
@pytest.mark.parametrize("options", [{}, {"exact_rows": 1}, {"exact_rows": 17}])
def test_parameters_and_bytes_are_those_of_the_formula(options, storage):
    method = HybridSVD(**options)
    module = method.fit(table_of(40, 12, dtype=torch.float32), 8, evidence=Evidence(zipf_counts(40)))
    rows, inner = method.split(40, 12, 8)

    module.store_tables(storage)

    assert model_size(module) == method.size(40, 12, 8, storage)
    assert model_size(module).parameters == inner * 52 + rows * 12


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(2, 3000), st.integers(2, 400))
def test_exact_rows_and_factors_split_the_numbers_of_a_rank(data, vocab_size, hidden_size):
    rows = data.draw(st.none() | st.integers(1, vocab_size - 1))
    method = HybridSVD(exact_rows=rows, exact_share=data.draw(st.floats(0.01, 0.99)))
    smallest = method.smallest_rank(vocab_size, hidden_size)
    rank = data.draw(st.integers(smallest, smallest + hidden_size))

    exact_rows, inner = method.split(vocab_size, hidden_size, rank)
    left = rank * (vocab_size + hidden_size) - inner * (vocab_size + hidden_size) - exact_rows * (hidden_size + 1)

    assert method.size(vocab_size, hidden_size, rank).bytes <= 4 * rank * (vocab_size + hidden_size)
    assert 1 <= exact_rows < vocab_size
    assert inner >= 1
    # No more fits: neither an axis beside the rows asked for nor a row beside the axes.
    if rows is None:
        assert left < hidden_size + 1 or exact_rows == vocab_size - 1
        assert inner == pytest.approx((1 - method.exact_share) * rank, abs=1) or inner == 1
    else:
        assert exact_rows == rows
        assert left < vocab_size + hidden_size
    more_rows, more_inner = method.split(vocab_size, hidden_size, rank + 1)
    assert (more_rows >= exact_rows, more_inner >= inner) == (True, True)


def test_the_default_gives_two_fifths_of_the_size_to_exact_rows():
    assert HybridSVD().split(30522, 384, 64) == (2087, 38)
    assert HybridSVD(exact_share=0.9).split(30522, 384, 10) == (722, 1)
    assert HybridSVD(exact_rows=2000).split(30522, 384, 64) == (2000, 39)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 3000), st.integers(2, 400), st.none() | st.integers(1, 2999))
def test_the_largest_rank_is_the_last_that_saves_bytes_in_float32(vocab_size, hidden_size, exact_rows):
    method = HybridSVD(exact_rows=exact_rows and min(exact_rows, vocab_size - 1))
    largest, dense = method.largest_rank(vocab_size, hidden_size), 4 * vocab_size * hidden_size

    assert largest == 0 or method.size(vocab_size, hidden_size, largest).bytes < dense
    assert largest == hidden_size or method.size(vocab_size, hidden_size, largest + 1).bytes >= dense
    if largest >= method.smallest_rank(vocab_size, hidden_size):
        method.check_size(vocab_size, hidden_size, largest)
    with pytest.raises(
        ValueError, match=r"largest rank that does is|keep at most|use (rank )?\d+ or more|factorization=none"
    ):
        method.check_size(vocab_size, hidden_size, largest + 1)


def test_sizes_that_do_not_shrink_the_table_are_refused_in_words():
    with pytest.raises(ValueError, match=r"rank 380 does not shrink a 30522 x 384 table with hybrid_svd.*is 379"):
        HybridSVD(exact_rows=2000).check_size(30522, 384, 380)
    with pytest.raises(ValueError, match=r"rank 25 is too small.*no room.*beside 2000 exact rows; use rank 26 or more"):
        HybridSVD(exact_rows=2000).check_size(30522, 384, 25)
    HybridSVD(exact_rows=2000).check_size(30522, 384, 26)
    with pytest.raises(ValueError, match=r"rank 1 is too small for hybrid_svd.*use 2 or more"):
        HybridSVD().check_size(30522, 384, 1)
    with pytest.raises(ValueError, match=r"30400 exact rows leave no room for factors.*keep at most 30362"):
        HybridSVD(exact_rows=30400).check_size(30522, 384, 5)
    most = HybridSVD(exact_rows=30362)
    most.check_size(30522, 384, most.smallest_rank(30522, 384))
    with pytest.raises(ValueError, match=r"below the 30522 tokens.*found 30522.*keep fewer"):
        HybridSVD(exact_rows=30522).check_size(30522, 384, 384, allow_larger=True)
    with pytest.raises(ValueError, match=r"use factorization=none"):
        HybridSVD(exact_rows=1).check_size(2, 2, 1)
    HybridSVD(exact_rows=2000).check_size(30522, 384, 384, allow_larger=True)


@pytest.mark.parametrize(
    "options",
    [{"exact_rows": 0}, {"exact_share": 0}, {"exact_share": 1}, {"smoothing": -1}, {"smoothing": float("nan")}],
)
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        HybridSVD(**options)


@pytest.mark.parametrize(
    ("counts", "words"), [(None, "hybrid_svd needs token counts"), (torch.zeros(20), "all token counts are 0")]
)
def test_counts_that_cannot_order_the_tokens_are_refused_in_words(counts, words):
    assert HybridSVD.needs == {"token_counts"}
    with pytest.raises(ValueError, match=words):
        HybridSVD(exact_rows=3).fit(table_of(20, 8), 4, evidence=Evidence(counts))
