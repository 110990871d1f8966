"""The factorized lookup with exact rows, its gradients, and its way through a checkpoint."""

import copy

import pytest
import torch
from torch.nn import functional

from embfact.embeddings.hybrid import HybridEmbedding
from embfact.embeddings.low_rank import LowRankEmbedding

EXACT = [0, 3, 7, 10]


def module(dtype=torch.float32, padding_idx=None, exact=EXACT):
    draw = torch.Generator().manual_seed(0)
    shapes = (11, 3), (3, 6), (len(exact), 6)
    factors, projection, residual = (torch.randn(*shape, generator=draw).to(dtype) for shape in shapes)
    shared = LowRankEmbedding.from_factors(factors, projection, padding_idx)
    return HybridEmbedding.from_parts(shared, torch.tensor(exact), residual)


def table(embedding):
    """What it should stand for, row by row."""
    dense = (embedding.shared.factors.weight @ embedding.shared.projection.weight).detach().clone()
    for row, token in enumerate(embedding.exact_ids.tolist()):
        dense[token] += embedding.residual.weight[row].detach()
    return dense


@pytest.mark.parametrize("exact", [EXACT, [5], list(range(11))])
@pytest.mark.parametrize("shape", [(), (4,), (2, 5), (2, 3, 4), (0,)])
@pytest.mark.parametrize("kind", [torch.int64, torch.int32])
def test_it_looks_up_the_product_and_adds_the_residual_of_exact_tokens(exact, shape, kind):
    embedding = module(exact=exact)
    ids = torch.randint(0, 11, shape, generator=torch.Generator().manual_seed(1)).to(kind)

    assert embedding(ids).shape == (*shape, 6)
    torch.testing.assert_close(embedding(ids), functional.embedding(ids, table(embedding)))
    torch.testing.assert_close(embedding.dense(), table(embedding))


def test_gradients_are_those_of_finite_differences():
    embedding, ids = module(torch.float64), torch.tensor([[0, 3, 3], [10, 1, 0]])
    names, values = zip(*embedding.named_parameters(), strict=True)

    def lookup(*parameters):
        return torch.func.functional_call(embedding, dict(zip(names, parameters, strict=True)), (ids,))

    assert sorted(names) == ["residual.weight", "shared.factors.weight", "shared.projection.weight"]
    assert torch.autograd.gradcheck(lookup, [value.detach().clone().requires_grad_() for value in values])


def test_only_the_residuals_of_the_tokens_looked_up_get_a_gradient():
    embedding = module()
    embedding(torch.tensor([3, 4, 9])).square().sum().backward()

    assert embedding.residual.weight.grad[1].count_nonzero() == 6
    assert embedding.residual.weight.grad[[0, 2, 3]].count_nonzero() == 0
    assert embedding.shared.factors.weight.grad[[3, 4, 9]].count_nonzero() == 9


@pytest.mark.parametrize("padding_idx", [4, -7])
def test_padding_moves_nothing_that_is_its_own(padding_idx):
    embedding = module(padding_idx=padding_idx)
    embedding(torch.tensor([4, 4, 4])).square().sum().backward()

    assert embedding.padding_idx == 4
    assert embedding.shared.factors.weight.grad.count_nonzero() == 0
    assert embedding.residual.weight.grad.count_nonzero() == 0


@pytest.mark.parametrize("ids", [[], [3, 0], [3, 3], [-1, 2], [2, 11]])
def test_ids_that_are_not_ascending_tokens_are_refused(ids):
    with pytest.raises(ValueError, match="ascending ids of the 11 tokens"):
        module(exact=ids)


def test_a_padding_id_that_is_exact_is_refused():
    with pytest.raises(ValueError, match="padding id 3 cannot be exact"):
        module(padding_idx=3)


@pytest.mark.parametrize("exact_rows", [0, 12])
def test_a_number_of_exact_rows_that_the_vocabulary_does_not_have_is_refused(exact_rows):
    with pytest.raises(ValueError, match=f"1 to 11, the number of tokens .found {exact_rows}"):
        HybridEmbedding(11, 6, 3, exact_rows)


def test_copies_and_casts_keep_the_lookup_and_the_ids():
    embedding = module(padding_idx=1)
    other = copy.deepcopy(embedding).half()

    assert other.exact_ids.dtype == torch.int32
    assert other(torch.tensor([3])).dtype == torch.float16
    torch.testing.assert_close(other.dense().float(), embedding.dense(), rtol=1e-2, atol=1e-2)


def test_it_compiles_as_one_graph():
    embedding, ids = module(), torch.tensor([[0, 3, 4], [10, 1, 0]])
    compiled = torch.compile(embedding, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(ids), embedding(ids))


def test_it_prints_its_shape():
    assert "exact_rows=4" in repr(module())
    assert "num_embeddings=11, embedding_dim=6, rank=3" in repr(module())
