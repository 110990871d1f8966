"""The randomized route: within 0.1 % of the optimal error, or the exact one instead."""

import numpy as np
import pytest
import torch

from embfact.factorization.block_krylov import leading_axes
from embfact.factorization.decomposition import principal_axes
from embfact.factorization.decomposition_cache import forget
from embfact.factorization.svd import SVD

WIDTH = 512
INDEX = np.arange(1, WIDTH + 1)
SPECTRA = {
    "square root": INDEX**-0.5,
    "slow": INDEX**-0.25,
    "fast": INDEX**-1.0,
    "flat": np.linspace(1.4, 1, WIDTH),
    "a few large": np.r_[np.full(10, 8.0), np.linspace(1.4, 1, WIDTH - 10)],
    "step": np.r_[np.full(32, 1.5), np.ones(WIDTH - 32)],
}


def table_of(singular, vocab_size=1500, dtype=torch.float32):
    draw = np.random.default_rng(0)
    left, right = (np.linalg.qr(draw.normal(size=(n, len(singular))))[0] for n in (vocab_size, len(singular)))
    return torch.tensor(left * singular @ right.T, dtype=dtype)


def excess(table, axes, rank, mean=0.0):
    rows = table.double() - mean
    missed = (rows - rows @ axes.double().T @ axes.double()).norm().item()
    return missed / np.linalg.norm(np.linalg.svd(rows.numpy(), compute_uv=False)[rank:]) - 1


@pytest.mark.parametrize("singular", SPECTRA.values(), ids=SPECTRA)
def test_the_error_is_within_a_thousandth_of_the_optimum(singular):
    table = table_of(singular)

    energies, axes, norm = leading_axes(table, 32, seed=1)

    assert 0 <= excess(table, axes, 32) < 1e-3
    np.testing.assert_allclose(axes.double() @ axes.double().T, np.eye(32), atol=1e-5)
    np.testing.assert_allclose(norm, np.square(singular).sum(), rtol=1e-5)
    np.testing.assert_allclose(energies.sum(), (table.double() @ axes.double().T).square().sum(), rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_dtype_keeps_its_own_optimum(dtype):
    table = table_of(SPECTRA["square root"], dtype=dtype)
    _, axes, _ = leading_axes(table, 32, seed=0)
    assert axes.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert 0 <= excess(table, axes, 32) < 1e-3


def test_rows_are_centred_before_they_are_multiplied():
    table = table_of(SPECTRA["square root"]) + 1
    mean = table.double().mean(dim=0)
    _, axes, norm = leading_axes(table, 32, 0, mean)
    assert 0 <= excess(table, axes, 32, mean) < 1e-3
    assert norm == pytest.approx((table.double() - mean).square().sum().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("singular", "count"),
    [
        (SPECTRA["square root"], 65),
        (np.r_[np.ones(20), np.zeros(WIDTH - 20)], 32),
        (np.r_[np.ones(20), np.full(WIDTH - 20, 1e-3)], 32),
        (np.ones(1), 1),
        (np.zeros(64), 4),
    ],
    ids=["many axes", "rank 20", "nearly rank 20", "one column", "nothing"],
)
def test_what_it_cannot_do_well_is_left_to_the_exact_route(singular, count):
    table = table_of(singular)
    assert leading_axes(table, count, seed=0) is None

    found, exact = principal_axes(table, route="randomized", count=count), principal_axes(table, route="gram")
    assert torch.equal(found.axes, exact.axes)


def test_the_seed_decides_and_the_global_random_state_stays():
    table = table_of(SPECTRA["square root"])
    state = torch.random.get_rng_state()

    first, same, other = (leading_axes(table, 32, seed)[1] for seed in (1, 1, 2))

    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("center", [False, True])
def test_svd_by_this_route_has_the_error_it_promises_at_every_rank(center):
    table = table_of(SPECTRA["square root"]) + (0.01 if center else 0)
    for rank in (1, 20, 32, 50, 64):
        method = SVD(route="randomized", center=center)
        forget()
        module = method.fit(table, rank, seed=3)
        missed = (
            (
                table.double()
                - module.factors.weight.detach().double() @ module.projection.weight.detach().double()
                - (module.mean.detach().double() if center else 0)
            )
            .norm()
            .item()
        )
        rows = table.double() - (table.double().mean(dim=0) if center else 0)
        optimum = np.linalg.norm(np.linalg.svd(rows.numpy(), compute_uv=False)[rank:])
        assert optimum * (1 - 1e-6) < missed < optimum * 1.001
        assert torch.equal(method.fit(table, rank, seed=3).factors.weight, module.factors.weight)
