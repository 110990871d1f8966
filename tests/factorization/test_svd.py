"""`svd` reaches the optimum that numpy's truncated SVD defines."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.factorization.decomposition import principal_axes
from embfact.factorization.decomposition_cache import forget
from embfact.factorization.svd import SVD

# On tables as narrow as these the randomized route is the exact one; its own tests are in test_block_krylov.py.
ROUTES = ["auto", "gram", "qr", "randomized"]


def decaying_table(vocab_size, hidden_size, seed=0, dtype=torch.float32):
    """Singular values that fall like those of a pretrained table, so that every rank has an error to get right."""
    draw = np.random.default_rng(seed)
    table = draw.normal(size=(vocab_size, hidden_size)) / np.sqrt(1 + np.arange(hidden_size))
    return torch.tensor(table, dtype=dtype)


def optimum(table, rank):
    """Frobenius error of numpy's truncated SVD."""
    left, singular, right = np.linalg.svd(table.double().numpy(), full_matrices=False)
    return np.linalg.norm(table.double().numpy() - (left[:, :rank] * singular[:rank]) @ right[:rank])


def error(table, module):
    product = module.factors.weight.detach().double() @ module.projection.weight.detach().double()
    return torch.linalg.norm(table.double() - product).item()


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize(("vocab_size", "hidden_size"), [(9000, 24), (50, 48), (48, 48), (30, 48)])
@pytest.mark.parametrize("rank", [1, 7, 16])
def test_error_is_that_of_numpys_truncated_svd(route, dtype, vocab_size, hidden_size, rank):
    table = decaying_table(vocab_size, hidden_size, dtype=dtype)

    module = SVD(route=route).fit(table, rank)

    assert module.factors.weight.dtype == module.projection.weight.dtype == dtype
    assert error(table, module) == pytest.approx(optimum(table, rank), rel=1e-6)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("rank", [3, 5, 8])
def test_a_rank_deficient_table_is_met_exactly_from_its_own_rank_on(route, rank):
    table = decaying_table(400, 5, dtype=torch.float64) @ decaying_table(5, 32, seed=1, dtype=torch.float64)

    found = error(table, SVD(route=route).fit(table, rank))

    assert found == pytest.approx(optimum(table, rank), rel=1e-6, abs=1e-10 * table.norm().item())


def table_with(singular, vocab_size=200, seed=0):
    draw = np.random.default_rng(seed)
    left, right = (np.linalg.qr(draw.normal(size=(n, len(singular))))[0] for n in (vocab_size, len(singular)))
    return torch.tensor(left * singular @ right.T)


def excess(table, axes, rank):
    """Error of the first axes over the optimum, less one, in extended precision."""
    rows, basis = table.numpy().astype(np.longdouble), axes[:rank].numpy().astype(np.longdouble)
    missed = np.sqrt(np.square(rows - rows @ basis.T @ basis).sum())
    return float(missed) / np.linalg.norm(np.linalg.svd(table.numpy(), compute_uv=False)[rank:]) - 1


def test_the_qr_route_keeps_singular_values_that_the_gram_route_loses():
    singular = np.logspace(0, -12, 8)
    energies = principal_axes(table_with(singular), route="qr").energies
    np.testing.assert_allclose(energies[:7].sqrt(), singular[:7], rtol=1e-4)


def test_a_badly_conditioned_float64_table_takes_the_qr_route_by_itself():
    table = table_with(np.logspace(0, -12, 24))

    by_route = {route: principal_axes(table, route=route) for route in ("auto", "gram", "qr")}

    assert torch.equal(by_route["auto"].axes, by_route["qr"].axes)
    assert excess(table, by_route["gram"].axes, 22) > 1
    assert all(abs(excess(table, by_route["auto"].axes, rank)) < 1e-6 for rank in range(1, 20))


@pytest.mark.parametrize("smallest", [1e-1, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8])
def test_auto_is_exact_whichever_route_it_takes(smallest):
    table = table_with(np.geomspace(1, smallest, 24))
    axes = principal_axes(table).axes
    assert all(abs(excess(table, axes, rank)) < 1e-9 for rank in range(1, 24))


def test_float32_tables_and_sound_float64_ones_take_the_gram_route():
    sound = table_with(np.geomspace(1, 1e-3, 24))
    for table in (sound, sound.float(), table_with(np.logspace(0, -12, 24)).float()):
        assert torch.equal(principal_axes(table).axes, principal_axes(table, route="gram").axes)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_table_gets_a_worse_error_than_numpys(data):
    vocab_size, hidden_size = data.draw(st.integers(2, 30)), data.draw(st.integers(2, 12))
    rank, padding_idx = data.draw(st.integers(1, hidden_size)), data.draw(st.none() | st.integers(0, vocab_size - 1))
    dtype = data.draw(st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16]))
    rows = data.draw(st.lists(st.integers(0, vocab_size - 1), min_size=vocab_size, max_size=vocab_size))
    zero = data.draw(st.sets(st.integers(0, vocab_size - 1)))
    table = decaying_table(vocab_size, hidden_size, seed=data.draw(st.integers(0, 99)), dtype=dtype)[rows]
    table[[*zero, *([] if padding_idx is None else [padding_idx])]] = 0

    module = SVD(route=data.draw(st.sampled_from(ROUTES))).fit(table, rank, padding_idx=padding_idx)

    rounding = max(1e-7, torch.finfo(dtype).eps) * (1 + table.double().norm().item())
    assert error(table, module) == pytest.approx(optimum(table, rank), rel=1e-6, abs=rounding)
    assert module.padding_idx == padding_idx
    assert module.factors.weight[sorted(zero)].count_nonzero() == 0


@pytest.mark.parametrize("route", ROUTES)
def test_a_smaller_rank_is_a_prefix_of_a_larger_one_bit_for_bit(route):
    table = decaying_table(300, 160)
    modules = []
    for rank in (4, 9, 140):
        forget()
        modules.append(SVD(route=route).fit(table, rank))
    *smaller, largest = modules

    for module in smaller:
        assert torch.equal(module.projection.weight, largest.projection.weight[: module.rank])
        assert torch.equal(module.factors.weight, largest.factors.weight[:, : module.rank])


def test_energies_are_numpys_squared_singular_values_and_axes_are_orthonormal():
    table = decaying_table(20000, 16, dtype=torch.float64)  # more rows than one block
    found = principal_axes(table)

    np.testing.assert_allclose(found.energies, np.linalg.svd(table.numpy(), compute_uv=False) ** 2, rtol=1e-10)
    torch.testing.assert_close(found.axes @ found.axes.T, torch.eye(16, dtype=torch.float64), rtol=0, atol=1e-12)


def test_full_rank_gives_the_table_back():
    table = decaying_table(100, 12)
    torch.testing.assert_close(SVD().fit(table, 12).dense(), table, rtol=0, atol=1e-5)


def test_the_table_is_not_changed_and_may_require_gradients():
    table = decaying_table(40, 8).requires_grad_()
    before = table.detach().clone()

    module = SVD().fit(table, 2, padding_idx=0)

    assert torch.equal(table, before)
    assert module.padding_idx == 0
    assert all(parameter.is_leaf and parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize("rows", [[0], [0, 0, 0], list(range(40))])
def test_zero_tables_and_single_rows_are_kept(rows):
    table = torch.zeros(40, 8)
    table[:1] = decaying_table(1, 8)
    torch.testing.assert_close(SVD().fit(table[rows], 1).dense(), table[rows])
    torch.testing.assert_close(SVD().fit(torch.zeros(3, 8), 2).dense(), torch.zeros(3, 8))
