"""Gradient descent on the table: its loss, its optimum by other means, and the non-linear decoder."""

import logging

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from embfact.embeddings.decoder import DecoderEmbedding
from embfact.embeddings.layout import Part
from embfact.embeddings.low_rank import LowRankEmbedding
from embfact.factorization.distilled import Distilled, distill, row_losses, starting_point
from embfact.factorization.svd import SVD
from embfact.models.size import model_size
from tests.helpers.storages import STORAGES

LINEAR = {"decoder": "linear"}
each_decoder = pytest.mark.parametrize("decoder", ["linear", "nonlinear"])


def table(vocab_size=200, hidden_size=12, dtype=torch.float32, seed=0):
    """Rows of very different length about a common mean, as token embeddings have."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.rand(vocab_size, 1, generator=draw) * 3
    rows = torch.randn(vocab_size, hidden_size, generator=draw, dtype=torch.float64) * lengths + 0.5
    return (0.05 * rows).to(dtype)


def numpy_loss(rows, dense, l1_weight=1.0):
    cosine = (rows * dense).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(dense, axis=1)
    return (1 - cosine).mean() + l1_weight * np.abs(rows - dense).mean() / np.abs(dense).mean()


def loss(module, dense, l1_weight=1.0):
    return numpy_loss(module.dense().double().numpy(), dense.double().numpy(), l1_weight)


def test_the_loss_of_a_row_is_that_of_the_paper():
    rows, dense = table(seed=1), table()
    found = row_losses(rows, dense, dense.abs().mean().item(), 0.7).mean().item()
    assert found == pytest.approx(numpy_loss(rows.double().numpy(), dense.double().numpy(), 0.7), rel=1e-5)


def test_a_row_of_zeros_has_no_direction_and_a_finite_gradient():
    rows = torch.zeros(2, 4, requires_grad=True)
    losses = row_losses(rows, torch.tensor([[0.0, 0, 0, 0], [1, 2, 3, 4]]), 2.0, 1.0)
    losses.sum().backward()
    assert losses.tolist() == [1.0, 1 + 2.5 / 2]
    assert torch.isfinite(rows.grad).all()


@each_decoder
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_it_ends_below_svd_whatever_the_unit_of_the_table(decoder, scale):
    dense = table() * scale
    method = Distilled(decoder=decoder, steps=150, batch_rows=64)
    svd, distilled = SVD().fit(dense, 4), method.fit(dense, 4)
    assert loss(distilled, dense) < 0.97 * loss(svd, dense)
    assert loss(distilled, dense) == pytest.approx(loss(method.fit(table(), 4), table()), rel=0.02)


def test_the_loss_falls_with_the_steps():
    dense = table()
    losses = [
        loss(Distilled(**LINEAR, steps=steps, batch_rows=200).fit(dense, 4), dense) for steps in (1, 10, 100, 400)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] < loss(SVD().fit(dense, 4), dense)


@pytest.mark.parametrize("l1_weight", [0.0, 1.0])
def test_the_linear_decoder_comes_to_the_optimum_that_scipy_finds(l1_weight):
    dense = table(8, 4, torch.float64)
    exact = dense.numpy()

    def objective(flat):
        return numpy_loss(flat[:16].reshape(8, 2) @ flat[16:].reshape(2, 4), exact, l1_weight)

    svd = SVD().fit(dense, 2)
    start = np.concatenate([weight.detach().numpy().ravel() for weight in svd.parameters()])
    draws = np.random.default_rng(0)
    starts = [start, *(start * (1 + 0.1 * draws.standard_normal(len(start))) for _ in range(2))]
    found = min(minimize(objective, guess, method="L-BFGS-B", tol=1e-10).fun for guess in starts)

    module = Distilled(**LINEAR, steps=1000, batch_rows=8, l1_weight=l1_weight).fit(dense, 2)
    reached = loss(module, dense, l1_weight)
    assert reached <= found * 1.01
    if not l1_weight:  # the corners of the L1 term stop the other one early
        assert reached == pytest.approx(found, rel=0.01)


def test_a_curved_table_is_one_for_the_non_linear_decoder():
    draw = torch.Generator().manual_seed(0)
    codes = torch.randn(400, 2, generator=draw)
    dense = torch.tanh(2 * codes @ torch.randn(2, 8, generator=draw)) @ torch.randn(8, 12, generator=draw)
    linear, curved = (
        Distilled(decoder=decoder, steps=400, batch_rows=200).fit(dense, 2) for decoder in ("linear", "nonlinear")
    )
    assert loss(curved, dense) < 0.7 * loss(linear, dense)


@each_decoder
def test_it_starts_from_the_svd(decoder):
    dense = table(dtype=torch.float64)
    start = starting_point(dense, 4, 0 if decoder == "linear" else 7, seed=0)
    torch.testing.assert_close(start.dense(), SVD().fit(dense, 4).dense(), rtol=0, atol=1e-12)
    assert type(start) is (LowRankEmbedding if decoder == "linear" else DecoderEmbedding)


@pytest.mark.parametrize("lr", [1e4, 1e30])
def test_steps_that_do_harm_are_undone_and_said(lr, caplog):
    dense = table()
    with caplog.at_level(logging.WARNING):
        module = Distilled(steps=5, lr=lr).fit(dense, 4)
    assert torch.equal(module.dense(), Distilled(steps=1, lr=1e30).fit(dense, 4).dense())
    assert loss(module, dense) == pytest.approx(loss(SVD().fit(dense, 4), dense), rel=1e-5)
    assert f"lr={lr:g} " in caplog.text
    assert "svd" in caplog.text


@each_decoder
def test_the_seed_alone_decides_the_result(decoder):
    method = Distilled(decoder=decoder, steps=20, batch_rows=32)
    torch.manual_seed(1)
    first, state = method.fit(table(), 3, seed=5), torch.random.get_rng_state()
    with torch.no_grad():
        second = method.fit(table(), 3, seed=5)
    assert torch.equal(torch.random.get_rng_state(), state), "the random state of the run must not move"
    assert torch.equal(first.dense(), second.dense())
    assert not torch.equal(first.dense(), method.fit(table(), 3, seed=6).dense())
    assert all(weight.requires_grad and weight.grad is None for weight in first.parameters())


@each_decoder
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_padding_row_is_fitted_and_then_trained_no_more(decoder, dtype):
    dense = table(dtype=dtype)
    module = Distilled(decoder=decoder, steps=100, batch_rows=64).fit(dense, 4, padding_idx=-3)
    assert module.padding_idx == 197
    assert module.dense().dtype == dtype
    free = Distilled(decoder=decoder, steps=100, batch_rows=64).fit(dense, 4)
    assert torch.equal(module.dense(), free.dense())

    module(torch.tensor([5, 197])).sum().backward()
    assert module.factors.weight.grad[5].any()
    assert not module.factors.weight.grad[197].any()


@pytest.mark.parametrize("options", [LINEAR, {}, {"hidden_units": 3}])
@pytest.mark.parametrize("storage", STORAGES, ids=str)
@pytest.mark.parametrize("shape", [(30, 12), (21, 7)])
def test_the_layout_is_what_is_saved(options, storage, shape):
    method = Distilled(**options, steps=1)
    module = method.fit(table(*shape), 3)
    module.store_tables(storage)
    assert model_size(module) == method.size(*shape, 3, storage)


def test_the_hidden_layer_is_half_as_wide_as_the_table():
    assert Distilled().layout(30522, 384, 61)[2:] == (Part(61, 192), Part(1, 192, "plain"), Part(192, 384))
    assert Distilled().parameters(30522, 384, 61) == 61 * (30522 + 384) + 192 * (61 + 1 + 384)
    assert Distilled().layout(30, 7, 2)[3] == Part(1, 4, "plain")


def test_hidden_units_without_a_hidden_layer_are_refused():
    with pytest.raises(
        ValueError, match=r"hidden_units belongs to the non-linear decoder .found 5 with decoder=linear.; set"
    ):
        Distilled(decoder="linear", hidden_units=5)


def test_tables_with_zero_and_equal_rows_are_taken():
    dense = table()
    dense[:5], dense[5:9] = 0, dense[9]
    module = Distilled(steps=30, batch_rows=50).fit(dense, 3)
    assert torch.isfinite(module.dense()).all()
    assert not Distilled(steps=3).fit(torch.zeros(9, 4), 2).dense().any()


def test_a_table_that_its_rank_holds_exactly_keeps_its_svd():
    dense = table(40, 6, torch.float64)
    module = starting_point(dense, 6, 0, seed=0)
    distill(module, dense, steps=5, lr=0.03, batch_rows=8, l1_weight=1.0, seed=0)
    torch.testing.assert_close(module.dense(), dense, rtol=0, atol=1e-12)
