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


@pytest.mark.parametrize("smoothing", [0, 1, 5e3])
@pytest.mark.parametrize("unseen", [0, 150])
@pytest.mark.parametrize(("exact_rows", "rank"), [(1, 9), (40, 5), (120, 1)])
def test_the_error_is_the_optimum_of_the_rows_that_are_not_exact(smoothing, unseen, exact_rows, rank):
    table, counts = table_of(300, 16), zipf_counts(300, unseen)
    weights = counts + smoothing
    exact = frequent(counts, exact_rows)

    module = HybridSVD(exact_rows=exact_rows, smoothing=smoothing).fit(table, rank, evidence=Evidence(counts))

    assert module.exact_ids.tolist() == exact
    expected = optimum(table, weights, exact, rank)
    assert expected > 0
    assert weighted_error(table, weights, module) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_table_and_no_counts_miss_the_optimum(data):
    vocab_size, hidden_size = data.draw(st.integers(3, 30)), data.draw(st.integers(2, 10))
    rank, exact_rows = data.draw(st.integers(1, hidden_size)), data.draw(st.integers(1, vocab_size - 1))
    size = {"min_size": vocab_size, "max_size": vocab_size}
    counts = torch.tensor(data.draw(st.lists(st.integers(0, 1000), **size).filter(any)), dtype=torch.float64)
    table = table_of(vocab_size, hidden_size)[data.draw(st.lists(st.integers(0, vocab_size - 1), **size))]
    exact = frequent(counts, exact_rows)

    module = HybridSVD(exact_rows=exact_rows).fit(table, rank, evidence=Evidence(counts))

    found = weighted_error(table, counts + 1, module)
    assert found == pytest.approx(optimum(table, counts + 1, exact, rank), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-14), (torch.float32, 1e-6), (torch.float16, 5e-3), (torch.bfloat16, 4e-2)],
)
def test_the_exact_tokens_have_their_vectors(dtype, tolerance):
    table, counts = table_of(200, 12, dtype=dtype), zipf_counts(200)
    exact = frequent(counts, 30)

    vectors = HybridSVD(exact_rows=30).fit(table, 3, evidence=Evidence(counts)).dense()

    torch.testing.assert_close(vectors[exact], table[exact], rtol=tolerance, atol=tolerance)
    others = np.setdiff1d(np.arange(200), exact)
    assert ((vectors - table)[others].norm(dim=1) > 0.1).all()


def test_the_rows_of_a_that_belong_to_exact_tokens_are_their_projections():
    table, counts = table_of(200, 12), zipf_counts(200)
    shared = HybridSVD(exact_rows=30).fit(table, 3, evidence=Evidence(counts)).shared
    torch.testing.assert_close(shared.factors.weight, table @ shared.projection.weight.T)


def test_where_all_counted_tokens_are_exact_the_others_weigh_the_same():
    table, counts = table_of(100, 10), torch.zeros(100)
    counts[10:20] = 5

    module = HybridSVD(exact_rows=12, smoothing=0).fit(table, 3, evidence=Evidence(counts))

    exact = [0, 1, *range(10, 20)]
    assert module.exact_ids.tolist() == exact
    expected = optimum(table, torch.ones(100, dtype=torch.float64), exact, 3)
    assert (table - module.dense()).square().sum().item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("padding_idx", [7, -13])
def test_the_padding_token_is_never_exact(padding_idx):
    counts = torch.arange(20.0)
    counts[7] = 1000
    module = HybridSVD(exact_rows=19).fit(table_of(20, 8), 2, evidence=Evidence(counts), padding_idx=padding_idx)

    assert module.padding_idx == 7
    assert module.exact_ids.tolist() == [token for token in range(20) if token != 7]
    assert counts[7] == 1000, "the evidence is shared by other runs"


def test_it_beats_weighted_svd_of_its_own_size_on_text_as_zipf_has_it():
    table, counts = table_of(2000, 32), zipf_counts(2000)
    hybrid = HybridSVD(exact_rows=200).fit(table, 4, evidence=Evidence(counts))
    weighted = WeightedSVD().fit(table, 8, evidence=Evidence(counts))

    assert model_size(hybrid).parameters < model_size(weighted).parameters
    assert weighted_error(table, counts, hybrid) < 0.5 * weighted_error(table, counts, weighted)


@pytest.mark.parametrize("exact_rows", [1, 17])
def test_parameters_and_bytes_are_those_of_the_formula(exact_rows):
    counts = Evidence(zipf_counts(40))
    module = HybridSVD(exact_rows=exact_rows).fit(table_of(40, 12, dtype=torch.float32), 3, evidence=counts)

    size = model_size(module)

    assert size.parameters == HybridSVD(exact_rows=exact_rows).parameters(40, 12, 3) == 3 * 52 + exact_rows * 12
    assert size.bytes == 4 * (3 * 52 + exact_rows * 12) + 4 * exact_rows


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 3000), st.integers(2, 400), st.integers(1, 2999))
def test_the_largest_rank_is_the_last_that_saves_bytes_in_float32(vocab_size, hidden_size, exact_rows):
    method = HybridSVD(exact_rows=min(exact_rows, vocab_size - 1))
    ids = method.exact_rows

    def size(rank):
        return 4 * (method.parameters(vocab_size, hidden_size, rank) + ids)

    largest = method.largest_rank(vocab_size, hidden_size)

    assert size(largest + 1) >= 4 * vocab_size * hidden_size
    assert largest == 0 or size(largest) < 4 * vocab_size * hidden_size
    if largest:
        method.check_size(vocab_size, hidden_size, largest)
    with pytest.raises(
        ValueError, match=f"largest rank that does is {largest}" if largest else "keep at most|too small"
    ):
        method.check_size(vocab_size, hidden_size, largest + 1)


def test_sizes_that_do_not_shrink_the_table_are_refused_in_words():
    with pytest.raises(ValueError, match=r"rank 355 beside 2000 exact rows does not shrink.*largest rank.*is 354"):
        HybridSVD(exact_rows=2000).check_size(30522, 384, 355)
    with pytest.raises(ValueError, match=r"30400 exact rows leave no room.*keep at most 30362"):
        HybridSVD(exact_rows=30400).check_size(30522, 384, 1)
    HybridSVD(exact_rows=30362).check_size(30522, 384, 1)
    with pytest.raises(ValueError, match=r"below the 30522 tokens.*found 30522.*keep fewer"):
        HybridSVD(exact_rows=30522).check_size(30522, 384, 1, allow_larger=True)
    with pytest.raises(ValueError, match=r"use factorization=none"):
        HybridSVD(exact_rows=1).check_size(2, 2, 1)
    HybridSVD(exact_rows=2000).check_size(30522, 384, 384, allow_larger=True)


@pytest.mark.parametrize(
    "options", [{"exact_rows": 0}, {"exact_rows": -1}, {"smoothing": -1}, {"smoothing": float("nan")}]
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
        HybridSVD(exact_rows=3).fit(table_of(20, 8), 2, evidence=Evidence(counts))
