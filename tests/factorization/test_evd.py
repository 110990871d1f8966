"""`evd` is the optimum of `svd` under another name, checked against numpy's eigenvectors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.factorization.evd import EVD
from embfact.factorization.svd import SVD


def decaying_table(vocab_size, hidden_size, seed=0, dtype=torch.float64):
    draw = np.random.default_rng(seed)
    return torch.tensor(draw.normal(size=(vocab_size, hidden_size)) / np.sqrt(1 + np.arange(hidden_size)), dtype=dtype)


@pytest.mark.parametrize("shape", [(500, 24), (30, 24), (16, 24)])
@pytest.mark.parametrize("rank", [1, 6, 15])
def test_the_projection_spans_numpys_leading_eigenvectors(shape, rank):
    table = decaying_table(*shape)
    _, vectors = np.linalg.eigh(table.numpy().T @ table.numpy())
    leading = vectors[:, ::-1][:, :rank]

    module = EVD().fit(table, rank)

    # Eigenvectors have no sign of their own, projectors on what they span are unique.
    projection = module.projection.weight.detach().numpy()
    np.testing.assert_allclose(projection.T @ projection, leading @ leading.T, atol=1e-8)
    np.testing.assert_allclose(module.dense(), table.numpy() @ leading @ leading.T, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize("rank", [1, 6, 20])
def test_the_error_is_the_root_of_the_eigenvalues_left_out(dtype, rank):
    table = decaying_table(700, 24, dtype=dtype)
    dense = table.double().numpy()
    expected = np.linalg.eigvalsh(dense.T @ dense)[: 24 - rank].sum()

    module = EVD().fit(table, rank)

    product = module.factors.weight.detach().double() @ module.projection.weight.detach().double()
    assert (table.double() - product).norm().item() == pytest.approx(expected**0.5, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_it_has_the_bits_of_svd_by_the_gram_route(data):
    vocab_size, hidden_size = data.draw(st.integers(2, 30)), data.draw(st.integers(2, 12))
    rank, seed = data.draw(st.integers(1, hidden_size)), data.draw(st.integers(0, 99))
    rows = data.draw(st.lists(st.integers(0, vocab_size - 1), min_size=vocab_size, max_size=vocab_size))
    table = decaying_table(vocab_size, hidden_size, seed, torch.float32)[rows]

    found, same = EVD().fit(table, rank, padding_idx=1), SVD(route="gram").fit(table, rank, padding_idx=1)

    assert torch.equal(found.factors.weight, same.factors.weight)
    assert torch.equal(found.projection.weight, same.projection.weight)
    assert found.padding_idx == same.padding_idx == 1


def test_a_rank_that_does_not_fit_is_refused_under_its_own_name():
    with pytest.raises(ValueError, match=r"rank 380 does not shrink a 30522 x 384 table with evd.*379"):
        EVD().check_size(30522, 384, 380)
