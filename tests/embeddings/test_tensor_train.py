"""The lookup of a tensor train, and the scores of two cores without the table."""

import numpy as np
import pytest
import tensorly
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.embeddings.tensor_train import TensorTrainEmbedding


def random_cores(rows, columns, ranks):
    draw = torch.Generator().manual_seed(0)
    shapes = zip([1, *ranks], rows, columns, [*ranks, 1], strict=True)
    return [torch.randn(*shape, generator=draw, dtype=torch.float64) for shape in shapes]


@settings(deadline=None, max_examples=40)
@given(data=st.data(), count=st.integers(2, 4), padded=st.integers(0, 3))
def test_every_batch_has_the_rows_of_tensorlys_matrix(data, count, padded):
    sizes = st.lists(st.integers(1, 4), min_size=count, max_size=count)
    rows, columns = data.draw(sizes), data.draw(sizes)
    cores = random_cores(rows, columns, data.draw(st.lists(st.integers(1, 5), min_size=count - 1, max_size=count - 1)))
    vocab_size = max(1, int(np.prod(rows)) - padded)
    # A few ids are multiplied one by one, many by their common prefixes.
    ids = torch.tensor(data.draw(st.lists(st.integers(0, vocab_size - 1), max_size=80)), dtype=torch.int64)
    module = TensorTrainEmbedding.from_cores(cores, vocab_size)

    expected = tensorly.tt_matrix.tt_matrix_to_matrix([core.numpy() for core in cores])
    np.testing.assert_allclose(module(ids).detach().numpy(), expected[ids.numpy()], atol=1e-10)
    hidden = torch.randn(3, module.embedding_dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    scores = module.logits(hidden).detach().numpy()
    np.testing.assert_allclose(scores, hidden.numpy() @ expected[:vocab_size].T, atol=1e-9)


def test_two_cores_are_a_sum_of_kronecker_products():
    first, second = random_cores([5, 3], [2, 4], [3])
    module = TensorTrainEmbedding.from_cores([first, second], 15)
    expected = sum(np.kron(first[0, :, :, t], second[t, :, :, 0]) for t in range(3))
    np.testing.assert_allclose(module.dense().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("rank", [3, 4])
def test_scores_of_two_cores_need_no_table_while_that_is_cheaper(rank, monkeypatch):
    module = TensorTrainEmbedding.from_cores(random_cores([5, 3], [2, 4], [rank]), 13)
    hidden = torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = hidden @ module.dense().T
    built = []
    prefixes = module._prefixes
    monkeypatch.setattr(module, "_prefixes", lambda depth: built.append(depth) or prefixes(depth))

    torch.testing.assert_close(module.logits(hidden), expected)
    assert bool(built) == (rank == 4), "r h_1 < H is where the closed form takes fewer products"


def test_a_vocabulary_of_several_blocks_has_its_scores_in_order(monkeypatch):
    monkeypatch.setattr("embfact.embeddings.tensor_train.BLOCK_TOKENS", 4)
    module = TensorTrainEmbedding.from_cores(random_cores([5, 3, 2], [2, 1, 4], [2, 3]), 29)
    hidden = torch.randn(3, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(module.logits(hidden), hidden @ module.dense().T)


def test_the_padding_id_sends_no_gradient_and_its_neighbours_do():
    module = TensorTrainEmbedding.from_cores(random_cores([5, 3, 2], [2, 1, 4], [2, 3]), 29, padding_idx=-3)
    assert module.padding_idx == 26

    module(torch.tensor([26, 26])).sum().backward()
    assert not any(core.weight.grad.any() for core in module.cores)
    module(torch.tensor([26, 27])).sum().backward()
    assert all(core.weight.grad.any() for core in module.cores)


@pytest.mark.parametrize(
    "shape", [([4, 3], [2, 3], [2]), ([5, 3], [2, 3, 1], [2]), ([5, 3], [2, 3], [2, 2]), ([5, 3], [2, 3], [])]
)
def test_factors_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"each core needs a row and a column factor, and a rank.*for 13 tokens"):
        TensorTrainEmbedding(13, *shape)
