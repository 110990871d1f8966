"""`fisher_svd` reaches the optimum of the gradient-weighted error."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.factorization.base import Evidence
from embfact.factorization.fisher_svd import FisherSVD
from embfact.factorization.svd import SVD


def gradients_of(vocab_size, unseen=0, seed=0):
    """Squared gradients spread over twelve orders of magnitude."""
    draw = np.random.default_rng(seed)
    moments = 10.0 ** draw.uniform(-16, -4, size=vocab_size)
    moments[draw.choice(vocab_size, size=unseen, replace=False)] = 0
    return torch.tensor(moments)


def table_of(vocab_size, hidden_size, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=(vocab_size, hidden_size)))


def weighted_error(table, weights, module):
    return (weights / weights.sum() @ (table - module.dense()).square().sum(dim=1)).item()


def tail_energy(table, weights, rank):
    """The optimum: squared singular values of diag(f)^½ W beyond the rank, from numpy."""
    scaled = (weights / weights.sum()).sqrt().unsqueeze(1) * table
    return np.square(np.linalg.svd(scaled.numpy(), compute_uv=False)[rank:]).sum()


@pytest.mark.parametrize("unseen", [0, 150, 290])
@pytest.mark.parametrize("rank", [1, 5, 9])
def test_weighted_error_is_the_tail_energy_of_the_scaled_table(unseen, rank):
    table, gradients = table_of(300, 16), gradients_of(300, unseen)

    module = FisherSVD().fit(table, rank, evidence=Evidence(row_gradients=gradients))

    expected = tail_energy(table, gradients, rank)
    assert expected > 1e-12
    assert weighted_error(table, gradients, module) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_gradients_give_a_worse_error_than_numpys(data):
    vocab_size, hidden_size = data.draw(st.integers(2, 30)), data.draw(st.integers(2, 10))
    rank = data.draw(st.integers(1, hidden_size))
    size = {"min_size": vocab_size, "max_size": vocab_size}
    values = st.one_of(st.just(0.0), st.floats(1e-12, 1e3))
    gradients = torch.tensor(data.draw(st.lists(values, **size).filter(any)), dtype=torch.float64)
    table = table_of(vocab_size, hidden_size)[data.draw(st.lists(st.integers(0, vocab_size - 1), **size))]

    module = FisherSVD().fit(table, rank, evidence=Evidence(row_gradients=gradients))

    expected = tail_energy(table, gradients, rank)
    assert weighted_error(table, gradients, module) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_smoothing_adds_a_multiple_of_the_mean_weight():
    table, gradients = table_of(300, 16), gradients_of(300, unseen=100)
    smoothed = gradients + 2.5 * gradients.mean()

    module = FisherSVD(smoothing=2.5).fit(table, 6, evidence=Evidence(row_gradients=gradients))

    assert weighted_error(table, smoothed, module) == pytest.approx(tail_energy(table, smoothed, 6), rel=1e-6)


def test_the_scale_of_the_gradients_makes_no_difference():
    table, gradients = table_of(200, 12), gradients_of(200)
    few, many = (
        FisherSVD(smoothing=1).fit(table, 4, evidence=Evidence(row_gradients=gradients * f)) for f in (1e-99, 1e99)
    )
    torch.testing.assert_close(few.dense(), many.dense())


def test_equal_gradients_give_the_table_of_plain_svd():
    table = table_of(200, 12)
    fisher = FisherSVD().fit(table, 4, evidence=Evidence(row_gradients=torch.full((200,), 3e-9)))
    torch.testing.assert_close(fisher.dense(), SVD().fit(table, 4).dense())


def test_rows_without_a_gradient_keep_their_best_projection():
    table, gradients = table_of(60, 8), gradients_of(60, unseen=20)
    module = FisherSVD().fit(table, 3, evidence=Evidence(row_gradients=gradients))

    basis = module.projection.weight.detach().numpy()
    best = np.linalg.lstsq(basis.T, table.numpy().T, rcond=None)[0].T @ basis
    np.testing.assert_allclose(module.dense(), best, atol=1e-10)


@pytest.mark.parametrize(
    ("gradients", "words"),
    [
        (None, r"fisher_svd needs row gradients \(found none\); pass evidence=Evidence\(row_gradients="),
        (torch.ones(19), r"row gradients.*20 rows of the table \(found shape \(19,\)\)"),
        (torch.tensor([1.0] * 7 + [-2.0] + [1.0] * 12), r"row gradients must be .*0 or more \(found -2 for token 7\)"),
        (torch.tensor([float("inf")] + [1.0] * 19), r"found inf for token 0"),
        (torch.zeros(20), r"all row gradients are 0.*evidence.warmup_steps"),
    ],
)
def test_gradients_that_cannot_weigh_the_rows_are_refused_in_words(gradients, words):
    assert FisherSVD.needs == {"row_gradients"}
    with pytest.raises(ValueError, match=words):
        FisherSVD().fit(table_of(20, 8), 2, evidence=Evidence(row_gradients=gradients))


def test_without_evidence_it_says_what_it_needs():
    with pytest.raises(ValueError, match="needs row gradients"):
        FisherSVD().fit(table_of(20, 8), 2)


@pytest.mark.parametrize("smoothing", [-1.0, float("inf"), float("nan")])
def test_smoothing_must_be_a_number_of_zero_or_more(smoothing):
    with pytest.raises(ValueError, match="smoothing"):
        FisherSVD(smoothing=smoothing)
