"""`kronecker_svd` reaches the minimum that a general minimiser finds from several starts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from embfact.factorization.base import Evidence
from embfact.factorization.kronecker_svd import KroneckerSVD
from embfact.factorization.weighted_svd import WeightedSVD


def table_of(vocab_size, hidden_size, seed=0, dtype=torch.float64):
    return torch.tensor(np.random.default_rng(seed).normal(size=(vocab_size, hidden_size)), dtype=dtype)


def metric_of(hidden_size, samples=40, seed=0):
    """Mean of g gᵀ over gradients of very different sizes; of low rank for few samples."""
    draw = np.random.default_rng(seed)
    gradients = draw.normal(size=(samples, hidden_size)) * 10.0 ** draw.uniform(-3, 0, size=hidden_size)
    return torch.tensor(1e-5 * gradients.T @ gradients / samples)


def counts_of(vocab_size, unseen=0, seed=0):
    draw = np.random.default_rng(seed)
    counts = draw.permutation(1e3 / np.arange(1, vocab_size + 1)).round()
    counts[draw.choice(vocab_size, size=unseen, replace=False)] = 0
    return torch.tensor(counts)


def damped(metric, damping=0.1):
    return metric + damping * metric.diagonal().mean() * torch.eye(len(metric), dtype=torch.float64)


def error(table, weights, metric, approximation):
    """Σ_v p_v (W_v - Ŵ_v) M (W_v - Ŵ_v)ᵀ."""
    missed = table - approximation
    return (weights / weights.sum()) @ ((missed @ metric) * missed).sum(dim=1) / metric.diagonal().mean()


def least_error(table, weights, metric, rank, center, starts=4):
    """The lowest error that L-BFGS finds over A, B and mu."""
    vocab_size, hidden_size = table.shape
    shapes = [(vocab_size, rank), (rank, hidden_size), (1, hidden_size)]
    ends = np.cumsum([np.prod(shape) for shape in shapes])

    def value(flat):
        parameters = torch.tensor(flat, requires_grad=True)
        parts = torch.tensor_split(parameters, ends[:-1].tolist())
        factors, projection, mean = (part.view(shape) for part, shape in zip(parts, shapes, strict=True))
        found = error(table, weights, metric, factors @ projection + center * mean)
        found.backward()
        return found.item(), parameters.grad.numpy()

    options = {"maxiter": 20000, "maxfun": 40000, "ftol": 1e-16, "gtol": 1e-11, "maxcor": 30}
    draw = np.random.default_rng(0)
    return min(
        minimize(value, draw.normal(size=ends[-1]), jac=True, method="L-BFGS-B", options=options).fun
        for _ in range(starts)
    )


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize(("rank", "unseen"), [(1, 0), (2, 0), (2, 5), (4, 0)])
def test_it_reaches_the_minimum_that_lbfgs_converges_to(rank, unseen, center):
    table, weights, metric = table_of(14, 6) + 0.5, counts_of(14, unseen), metric_of(6)

    module = KroneckerSVD(center=center).fit(table, rank, evidence=Evidence(weights, gradient_metric=metric))

    found = error(table, weights, damped(metric), module.dense()).item()
    least = least_error(table, weights, damped(metric), rank, center)
    assert least > 1e-6
    assert found == pytest.approx(least, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_error_is_the_tail_of_numpys_svd_of_the_table_scaled_on_both_sides(data):
    vocab_size, hidden_size = data.draw(st.integers(2, 30)), data.draw(st.integers(2, 10))
    rank, samples = data.draw(st.integers(1, hidden_size)), data.draw(st.integers(1, 20))
    damping, seed = data.draw(st.floats(1e-3, 10)), data.draw(st.integers(0, 99))
    size = {"min_size": vocab_size, "max_size": vocab_size}
    counts = torch.tensor(data.draw(st.lists(st.integers(0, 1000), **size).filter(any)), dtype=torch.float64)
    table = table_of(vocab_size, hidden_size)[data.draw(st.lists(st.integers(0, vocab_size - 1), **size))]
    metric = metric_of(hidden_size, samples, seed)

    module = KroneckerSVD(damping=damping).fit(table, rank, evidence=Evidence(counts, gradient_metric=metric))

    # Any root of M has the same singular values; numpy's Cholesky factor is another one than the code's.
    whole = damped(metric, damping) / damped(metric, damping).diagonal().mean()
    scaled = np.sqrt(counts / counts.sum()).unsqueeze(1).numpy() * table.numpy() @ np.linalg.cholesky(whole.numpy())
    expected = np.square(np.linalg.svd(scaled, compute_uv=False)[rank:]).sum()
    found = error(table, counts, damped(metric, damping), module.dense()).item()
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-11)


def test_rows_that_weigh_nothing_keep_their_best_projection_in_the_metric():
    table, counts, metric = table_of(60, 8), counts_of(60, unseen=20), metric_of(8)
    module = KroneckerSVD().fit(table, 3, evidence=Evidence(counts, gradient_metric=metric))

    root, basis = np.linalg.cholesky(damped(metric).numpy()), module.projection.weight.detach().numpy()
    best = np.linalg.lstsq((basis @ root).T, (table.numpy() @ root).T, rcond=None)[0].T @ basis
    np.testing.assert_allclose(module.dense(), best, atol=1e-9)


def test_axes_that_the_counted_tokens_leave_free_go_to_the_others():
    table, metric, counts = table_of(80, 8), metric_of(8), torch.zeros(80)
    counts[:3] = torch.tensor([5.0, 2.0, 1.0])

    module = KroneckerSVD().fit(table, 5, evidence=Evidence(counts, gradient_metric=metric))

    root = np.linalg.cholesky(damped(metric).numpy())
    scaled = table.numpy() @ root
    spanned = np.linalg.svd(scaled[:3])[2][:3]
    expected = np.square(np.linalg.svd(scaled - scaled @ spanned.T @ spanned, compute_uv=False)[2:]).sum()
    missed = (table - module.dense()).numpy() @ root
    assert np.square(missed).sum() == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(module.dense()[:3], table[:3], rtol=1e-6, atol=1e-6)


def test_a_metric_that_prefers_nothing_gives_the_table_of_weighted_svd():
    table, counts = table_of(200, 12), counts_of(200)
    metric = 3e-7 * torch.eye(12, dtype=torch.float64)
    found = KroneckerSVD().fit(table, 4, evidence=Evidence(counts, gradient_metric=metric))
    torch.testing.assert_close(found.dense(), WeightedSVD().fit(table, 4, evidence=Evidence(counts)).dense())


def test_much_damping_comes_close_to_weighted_svd():
    table, counts = table_of(200, 12), counts_of(200)
    weighted = WeightedSVD().fit(table, 4, evidence=Evidence(counts)).dense()
    evidence = Evidence(counts, gradient_metric=metric_of(12))
    distances = [
        (KroneckerSVD(damping=d).fit(table, 4, evidence=evidence).dense() - weighted).norm() for d in (1e-2, 1, 1e6)
    ]
    assert distances[0] > distances[1] > 1e3 * distances[2]


def test_smoothed_counts_weigh_the_rows():
    table, counts, metric = table_of(100, 8), counts_of(100, unseen=40), metric_of(8)
    smoothed = KroneckerSVD(smoothing=30).fit(table, 3, evidence=Evidence(counts, gradient_metric=metric))
    same = KroneckerSVD().fit(table, 3, evidence=Evidence(counts + 30, gradient_metric=metric))
    torch.testing.assert_close(smoothed.dense(), same.dense())


def test_the_scale_of_the_metric_makes_no_difference_and_the_factors_have_the_scale_of_the_table():
    table, counts, metric = table_of(200, 12), counts_of(200), metric_of(12)
    few, many = (
        KroneckerSVD().fit(table, 4, evidence=Evidence(counts, gradient_metric=metric * f)) for f in (1e-9, 1e9)
    )
    torch.testing.assert_close(few.factors.weight, many.factors.weight)
    torch.testing.assert_close(few.projection.weight, many.projection.weight)
    assert 0.1 < few.projection.weight.norm(dim=1).min() <= few.projection.weight.norm(dim=1).max() < 10


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_other_dtypes_come_as_close_as_they_can(dtype):
    table, counts, metric = table_of(200, 12, dtype=dtype), counts_of(200), metric_of(12)
    evidence = Evidence(counts, gradient_metric=metric)
    exact, rounded = (KroneckerSVD().fit(rows, 4, evidence=evidence).dense() for rows in (table.double(), table))
    assert rounded.dtype == dtype
    torch.testing.assert_close(rounded.double(), exact, rtol=0, atol=40 * torch.finfo(dtype).eps)


EYE = torch.eye(8, dtype=torch.float64)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (None, r"kronecker_svd needs a gradient metric \(found none\); pass evidence=Evidence\(gradient_metric=M\)"),
        (torch.eye(7), r"must be a 8 x 8 matrix, as wide as the table \(found shape \(7, 7\)\)"),
        (torch.ones(8), r"found shape \(8,\)"),
        (EYE * float("nan"), "values that are not finite"),
        (EYE * 0, r"gradient metric is 0.*evidence.warmup_steps"),
        (EYE + torch.ones(8, 8).triu(1), r"not symmetric \(entries differ by 1 of the largest\)"),
        (EYE - 2 * torch.diag(torch.eye(8)[3]), r"not positive semidefinite \(smallest eigenvalue -1, largest 1\)"),
        (-EYE, "not positive semidefinite"),
    ],
)
def test_a_metric_that_is_none_is_refused_in_words(metric, words):
    assert KroneckerSVD.needs == {"token_counts", "gradient_metric"}
    with pytest.raises(ValueError, match=words):
        KroneckerSVD().fit(table_of(20, 8), 2, evidence=Evidence(torch.ones(20), gradient_metric=metric))


def test_counts_are_checked_as_well():
    with pytest.raises(ValueError, match="kronecker_svd needs token counts"):
        KroneckerSVD().fit(table_of(20, 8), 2, evidence=Evidence(gradient_metric=EYE))


def test_rounding_in_the_metric_is_no_fault():
    """Sums in float32 leave a metric of low rank slightly asymmetric and with eigenvalues slightly below zero."""
    metric = metric_of(8, samples=2).float()
    metric[0, 1] *= 1 + 1e-7
    found = KroneckerSVD().fit(table_of(20, 8), 2, evidence=Evidence(torch.ones(20), gradient_metric=metric))
    assert torch.isfinite(found.dense()).all()


@pytest.mark.parametrize("options", [{"damping": 0}, {"damping": -1}, {"damping": float("inf")}, {"smoothing": -1}])
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        KroneckerSVD(**options)
