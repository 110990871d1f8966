"""TT-SVD against tensorly's, and the shapes and sizes of tensor trains."""

from math import prod

import numpy as np
import pytest
import tensorly
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorly.decomposition import tensor_train_matrix

from embfact.embeddings.layout import Part
from embfact.factorization.tensor_train import TensorTrain, balanced_divisors, ceil_root
from embfact.models.size import model_size
from tests.helpers.storages import STORAGES


def table(vocab_size=120, hidden_size=24, dtype=torch.float64):
    """Numbers with some structure over a noise, as a table has."""
    draw = torch.Generator().manual_seed(0)
    factors = [torch.randn(*shape, generator=draw) for shape in ((vocab_size, 5), (5, hidden_size))]
    noise = torch.randn(vocab_size, hidden_size, generator=draw)
    return (factors[0] @ factors[1] + 0.5 * noise).to(dtype)


def padded_tensor(dense, method):
    """The table as tensorly wants it: all row digits, then all column digits."""
    rows, columns = method.shape(*dense.shape)
    full = np.zeros((prod(rows), dense.shape[1]))
    full[: len(dense)] = dense.double().numpy()
    return full.reshape(*rows, *columns)


def squared_error(dense, module):
    return (dense.double() - module.dense().double()).square().sum().item()


@pytest.mark.parametrize("cores", [2, 3, 4])
@pytest.mark.parametrize("rank", [1, 3, 8, 15])
def test_it_reaches_the_error_of_tensorlys_tt_svd(cores, rank):
    # 120 = 12 x 10 = 6 x 5 x 4 = 5 x 4 x 3 x 2: without padding rows both see the same numbers.
    method, dense = TensorTrain(cores=cores), table({2: 132, 3: 125, 4: 81}[cores])
    rank = min(rank, method.rank_limit(*dense.shape))
    module = method.fit(dense, rank)
    assert prod(module.row_factors) == len(dense)

    reference = tensor_train_matrix(padded_tensor(dense, method), [1, *module.ranks, 1])
    expected = np.square(dense.numpy() - tensorly.tt_matrix.tt_matrix_to_matrix(reference)).sum()
    assert squared_error(dense, module) == pytest.approx(expected, rel=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    vocab_size=st.integers(2, 60),
    hidden_size=st.integers(1, 24),
    cores=st.integers(2, 4),
    rank=st.integers(1, 30),
    zero_rows=st.integers(0, 5),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_it_is_within_the_bound_of_the_unfoldings(vocab_size, hidden_size, cores, rank, zero_rows, dtype):
    method, dense = TensorTrain(cores=cores), table(vocab_size, hidden_size, dtype)
    dense[:zero_rows] = 0
    rank = min(rank, method.rank_limit(vocab_size, hidden_size))
    module = method.fit(dense, rank)
    tensor = padded_tensor(dense, method)

    # Oseledets (2011), theorem 2.2, by numpy's singular values of each unfolding.
    paired = tensor.transpose([axis for k in range(cores) for axis in (k, cores + k)])
    losses = []
    for cut, kept in enumerate(module.ranks, start=1):
        unfolding = paired.reshape(prod(paired.shape[: 2 * cut]), -1)
        losses.append(np.square(np.linalg.svd(unfolding, compute_uv=False)[kept:]).sum())
    rounding = (1e-10 if dtype == torch.float32 else 1e-20) * np.square(tensor).sum()
    assert squared_error(dense, module) <= sum(losses) * (1 + 1e-5) + rounding
    # No train of these ranks is nearer than any of its cuts allows; what falls on padding rows is not looked at.
    if prod(module.row_factors) == vocab_size:
        assert squared_error(dense, module) >= max(losses) * (1 - 1e-5) - rounding


@settings(deadline=None, max_examples=40)
@given(
    vocab_size=st.integers(2, 40),
    hidden_size=st.integers(1, 24),
    cores=st.integers(2, 4),
    rank=st.integers(1, 30),
    storage=st.sampled_from(STORAGES),
)
def test_the_layout_is_what_is_saved(vocab_size, hidden_size, cores, rank, storage):
    method = TensorTrain(cores=cores)
    rank = min(rank, method.rank_limit(vocab_size, hidden_size))
    module = method.fit(table(vocab_size, hidden_size, torch.float32), rank)
    module.store_tables(storage)
    assert model_size(module) == method.size(vocab_size, hidden_size, rank, storage)


def test_the_largest_rank_gives_the_table_back():
    method, dense = TensorTrain(), table(33, 12)
    module = method.fit(dense, method.rank_limit(33, 12))
    torch.testing.assert_close(module.dense(), dense, rtol=0, atol=1e-10)
    assert module.ranks == (8, 9), "as far as both sides of a cut allow: 4 x 2, and 3 x 3"


def test_the_shape_of_minilms_table_and_its_size():
    method = TensorTrain()
    assert method.shape(30522, 384) == ([32, 31, 31], [8, 6, 8])
    assert method.layout(30522, 384, 50) == (Part(32, 8 * 50), Part(31, 50 * 6 * 50), Part(31, 50 * 8))
    assert method.rank_limit(30522, 384) == min(32 * 8, 31 * 6 * 31 * 8) == 256
    assert method.layout(30522, 384, 256)[2] == Part(31, 31 * 8 * 8), "the second cut allows 31 x 8"


@given(number=st.integers(1, 10**6), degree=st.integers(1, 8))
def test_a_root_is_the_smallest_whose_power_is_enough(number, degree):
    root = ceil_root(number, degree)
    assert root**degree >= number
    assert root == 1 or (root - 1) ** degree < number


@given(vocab_size=st.integers(1, 10**6), hidden_size=st.integers(1, 5000), cores=st.integers(2, 8))
def test_factors_cover_the_table_closely(vocab_size, hidden_size, cores):
    rows, columns = TensorTrain(cores=cores).shape(vocab_size, hidden_size)
    assert vocab_size <= prod(rows) < vocab_size * 2**cores
    assert max(rows) - min(rows) <= 1 + max(rows) // 2
    assert prod(columns) == hidden_size
    assert len(rows) == len(columns) == cores


@pytest.mark.parametrize(
    ("number", "count", "factors"),
    [(384, 3, [8, 6, 8]), (768, 3, [12, 8, 8]), (7, 3, [7, 1, 1]), (1, 2, [1, 1]), (384, 2, [24, 16])],
)
def test_columns_are_cut_evenly_with_the_largest_at_the_ends(number, count, factors):
    found = balanced_divisors(number, count)
    assert sorted(found) == sorted(factors)
    assert found[len(found) // 2 if count > 2 else 1] == min(factors)


def test_all_cores_have_numbers_of_one_size():
    sizes = [core.weight.square().mean().item() for core in TensorTrain().fit(table(125, 24), 6).cores]
    assert sizes == pytest.approx([sizes[0]] * 3)


def test_a_table_of_zeros_has_a_train():
    module = TensorTrain().fit(torch.zeros(30, 12), 3)
    assert not module.dense().any()


def test_a_rank_beyond_what_any_cut_can_have_is_refused():
    with pytest.raises(ValueError, match="rank 257 is above 256; use at most 256"):
        TensorTrain().check_size(30522, 384, 257, allow_larger=True)
