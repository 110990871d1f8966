"""The factorized lookup, its gradients and its description."""

import copy
import io

import pytest
import torch

from embfact.embeddings.low_rank import LowRankEmbedding


def module(dtype=torch.float32, padding_idx=None):
    draw = torch.Generator().manual_seed(0)
    factors, projection = (torch.randn(*shape, generator=draw).to(dtype) for shape in ((11, 3), (3, 6)))
    return LowRankEmbedding.from_factors(factors, projection, padding_idx)


@pytest.mark.parametrize("shape", [(), (4,), (2, 5), (2, 3, 4), (0,)])
def test_it_looks_up_rows_of_the_product(shape):
    embedding = module()
    ids = torch.randint(0, 11, shape, generator=torch.Generator().manual_seed(1))

    expected = torch.nn.functional.embedding(ids, embedding.factors.weight @ embedding.projection.weight)

    assert embedding(ids).shape == (*shape, 6)
    torch.testing.assert_close(embedding(ids), expected)
    torch.testing.assert_close(embedding.dense(), (embedding.factors.weight @ embedding.projection.weight).detach())


def test_gradients_are_those_of_finite_differences():
    embedding, ids = module(torch.float64), torch.tensor([[0, 3, 3], [10, 1, 0]])

    def lookup(factors, projection):
        weights = {"factors.weight": factors, "projection.weight": projection}
        return torch.func.functional_call(embedding, weights, (ids,))

    factors, projection = (p.detach().clone().requires_grad_() for p in embedding.parameters())
    assert torch.autograd.gradcheck(lookup, (factors, projection))


@pytest.mark.parametrize("padding_idx", [4, -7])
def test_the_padding_row_gets_no_gradient_and_the_others_do(padding_idx):
    embedding = module(padding_idx=padding_idx)

    embedding(torch.tensor([4, 5, 4, 6])).square().sum().backward()

    assert embedding.padding_idx == 4
    assert embedding.factors.weight.grad[4].count_nonzero() == 0
    assert embedding.factors.weight.grad[[5, 6]].count_nonzero() == 6
    assert embedding.projection.weight.grad.count_nonzero() == 18


@pytest.mark.parametrize("padding_idx", [11, -12])
def test_a_padding_id_outside_the_vocabulary_is_refused(padding_idx):
    with pytest.raises(ValueError, match=f"11 tokens .found {padding_idx}"):
        LowRankEmbedding(11, 6, 3, padding_idx)


def test_it_survives_copies_and_pickling():
    embedding = module(padding_idx=0)
    stored = io.BytesIO()
    torch.save(embedding, stored)
    stored.seek(0)
    for other in (copy.deepcopy(embedding), torch.load(stored, weights_only=False)):
        assert torch.equal(other.dense(), embedding.dense())
        assert other.spec() == embedding.spec()


def test_it_prints_its_shape():
    assert "num_embeddings=11, embedding_dim=6, rank=3, padding_idx=None" in repr(module())
