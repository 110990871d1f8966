"""`weighted_svd` reaches the optimum of the frequency-weighted error."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.factorization.base import Evidence
from embfact.factorization.svd import SVD
from embfact.factorization.weighted_svd import WeightedSVD


def zipf_counts(vocab_size, unseen=0, seed=0):
    draw = np.random.default_rng(seed)
    counts = draw.permutation(1e6 / np.arange(1, vocab_size + 1)).round()
    counts[draw.choice(vocab_size, size=unseen, replace=False)] = 0
    return torch.tensor(counts)


def table_of(vocab_size, hidden_size, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=(vocab_size, hidden_size)))


def weighted_error(table, counts, module):
    """Sum over tokens of p_v |W_v - A_v B|²."""
    missed = table - module.factors.weight.detach() @ module.projection.weight.detach()
    return (counts / counts.sum() @ missed.square().sum(dim=1)).item()


def tail_energy(table, counts, rank):
    """The optimum: squared singular values of diag(p)^½ W beyond the rank, from numpy."""
    scaled = (counts / counts.sum()).sqrt().unsqueeze(1) * table
    return np.square(np.linalg.svd(scaled.numpy(), compute_uv=False)[rank:]).sum()


@pytest.mark.parametrize("unseen", [0, 150, 290])
@pytest.mark.parametrize("rank", [1, 5, 9])
def test_weighted_error_is_the_tail_energy_of_the_scaled_table(unseen, rank):
    table, counts = table_of(300, 16), zipf_counts(300, unseen)

    module = WeightedSVD().fit(table, rank, evidence=Evidence(counts))

    expected = tail_energy(table, counts, rank)
    assert expected > 1e-9
    assert weighted_error(table, counts, module) == pytest.approx(expected, rel=1e-6)


def test_smoothing_minimizes_the_error_of_the_smoothed_counts():
    table, counts = table_of(300, 16), zipf_counts(300, unseen=100)

    module = WeightedSVD(smoothing=2e4).fit(table, 6, evidence=Evidence(counts))

    assert weighted_error(table, counts + 2e4, module) == pytest.approx(tail_energy(table, counts + 2e4, 6), rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_counts_give_a_worse_error_than_numpys(data):
    vocab_size, hidden_size = data.draw(st.integers(2, 30)), data.draw(st.integers(2, 10))
    rank = data.draw(st.integers(1, hidden_size))
    size = {"min_size": vocab_size, "max_size": vocab_size}
    counts = torch.tensor(data.draw(st.lists(st.integers(0, 1000), **size).filter(any)), dtype=torch.float64)
    table = table_of(vocab_size, hidden_size)[data.draw(st.lists(st.integers(0, vocab_size - 1), **size))]

    module = WeightedSVD().fit(table, rank, evidence=Evidence(counts))

    assert weighted_error(table, counts, module) == pytest.approx(tail_energy(table, counts, rank), rel=1e-6, abs=1e-12)


def test_equal_counts_give_the_table_of_plain_svd():
    table = table_of(200, 12)
    weighted = WeightedSVD().fit(table, 4, evidence=Evidence(torch.full((200,), 3)))
    torch.testing.assert_close(weighted.dense(), SVD().fit(table, 4).dense())


def test_the_scale_of_the_counts_makes_no_difference():
    table, counts = table_of(200, 12), zipf_counts(200)
    few, many = (WeightedSVD().fit(table, 4, evidence=Evidence(counts * factor)) for factor in (1e-200, 1e200))
    torch.testing.assert_close(few.dense(), many.dense())


def test_what_the_counted_tokens_leave_free_goes_to_the_others():
    """Three counted tokens need three axes: the other three must be the best for the rest of the table."""
    table = table_of(200, 12)
    counts = torch.zeros(200)
    counts[:3] = torch.tensor([5.0, 2.0, 1.0])

    module = WeightedSVD().fit(table, 6, evidence=Evidence(counts))

    spanned = np.linalg.svd(table[:3].numpy())[2][:3]
    rest = table.numpy() - table.numpy() @ spanned.T @ spanned
    expected = np.square(np.linalg.svd(rest, compute_uv=False)[3:]).sum()
    assert (table - module.dense()).square().sum().item() == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(module.dense()[:3], table[:3])


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (None, "needs token counts"),
        (torch.ones(19), r"20 rows of the table \(found shape \(19,\)\)"),
        (torch.ones(20, 1), r"found shape \(20, 1\)"),
        (torch.tensor([1.0] * 7 + [-2.0] + [1.0] * 12), r"found -2 for token 7"),
        (torch.tensor([float("nan")] + [1.0] * 19), r"found nan for token 0"),
        (torch.zeros(20), "all token counts are 0"),
    ],
)
def test_counts_that_cannot_weigh_the_rows_are_refused_in_words(counts, words):
    with pytest.raises(ValueError, match=words):
        WeightedSVD().fit(table_of(20, 8), 2, evidence=Evidence(counts))


def test_it_asks_for_token_counts():
    assert WeightedSVD.needs == {"token_counts"}
    with pytest.raises(ValueError, match="needs token counts"):
        WeightedSVD().fit(table_of(20, 8), 2)


@pytest.mark.parametrize("smoothing", [-1.0, float("inf"), float("nan")])
def test_smoothing_must_be_a_number_of_zero_or_more(smoothing):
    with pytest.raises(ValueError, match="smoothing"):
        WeightedSVD(smoothing=smoothing)
