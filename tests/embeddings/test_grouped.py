"""The lookup in groups, its gradients and its description."""

import copy

import pytest
import torch
from torch.nn import functional

from embfact.embeddings.grouped import GroupedEmbedding

GROUP = torch.tensor([2, 0, 1, 2, 2, 1, 0, 2, 1, 2, 1])  # 2, 4 and 5 of 11 tokens
RANKS = (2, 3, 1)


def module(dtype=torch.float32, padding_idx=None):
    draw = torch.Generator().manual_seed(0)
    factors = [torch.randn(size, rank, generator=draw).to(dtype) for size, rank in zip((2, 4, 5), RANKS, strict=True)]
    projections = [torch.randn(rank, 6, generator=draw).to(dtype) for rank in RANKS]
    return GroupedEmbedding.from_groups(GROUP, factors, projections, padding_idx)


def table(embedding):
    """What it should stand for: the rows of each group's product, dealt out in the order of the ids."""
    pairs = zip(embedding.factors.parameters(), embedding.projections.parameters(), strict=True)
    products = [iter(a.detach() @ b.detach()) for a, b in pairs]
    return torch.stack([next(products[group]) for group in GROUP.tolist()])


@pytest.mark.parametrize("shape", [(), (4,), (2, 5), (2, 3, 4), (0,)])
@pytest.mark.parametrize("kind", [torch.int64, torch.int32])
@pytest.mark.parametrize("padding_idx", [None, 3])
def test_it_looks_up_rows_of_the_groups_products(shape, kind, padding_idx):
    embedding = module(padding_idx=padding_idx)
    ids = torch.randint(0, 11, shape, generator=torch.Generator().manual_seed(1)).to(kind)

    assert embedding(ids).shape == (*shape, 6)
    torch.testing.assert_close(embedding(ids), functional.embedding(ids, table(embedding)))
    torch.testing.assert_close(embedding.dense(), table(embedding))


def test_gradients_are_those_of_finite_differences():
    embedding, ids = module(torch.float64), torch.tensor([[0, 3, 3], [10, 1, 0]])
    names, values = zip(*embedding.named_parameters(), strict=True)

    def lookup(*parameters):
        return torch.func.functional_call(embedding, dict(zip(names, parameters, strict=True)), (ids,))

    assert len(names) == 6
    assert torch.autograd.gradcheck(lookup, [value.detach().clone().requires_grad_() for value in values])


def test_only_the_groups_and_rows_looked_up_get_a_gradient():
    embedding = module()
    embedding(torch.tensor([2, 8])).square().sum().backward()  # the first and the third token of group 1

    assert [rows.grad.any(dim=1).tolist() for rows in embedding.factors.parameters()] == [
        [False, False],
        [True, False, True, False],
        [False] * 5,
    ]
    assert [bool(part.grad.any()) for part in embedding.projections.parameters()] == [False, True, False]


@pytest.mark.parametrize("padding_idx", [5, -6])
def test_the_padding_row_gets_no_gradient_and_the_others_do(padding_idx):
    embedding = module(padding_idx=padding_idx)
    embedding(torch.tensor([5, 8, 5, 1])).square().sum().backward()  # 5 is the second token of group 1

    assert embedding.padding_idx == 5
    assert embedding.factors[1].weight.grad.any(dim=1).tolist() == [False, False, True, False]
    assert embedding.factors[0].weight.grad.any(dim=1).tolist() == [True, False]
    assert embedding.projections[1].weight.grad.count_nonzero() == 18


@pytest.mark.parametrize("padding_idx", [11, -12])
def test_a_padding_id_outside_the_vocabulary_is_refused(padding_idx):
    with pytest.raises(ValueError, match=f"11 tokens .found {padding_idx}"):
        GroupedEmbedding(6, [2, 4, 5], RANKS, padding_idx)


@pytest.mark.parametrize(("sizes", "ranks"), [([2, 4], [1]), ([], []), ([2, 0], [1, 1]), ([2, 4], [1, 0])])
def test_groups_without_a_size_or_a_rank_are_refused(sizes, ranks):
    with pytest.raises(ValueError, match="each group needs a size and a rank"):
        GroupedEmbedding(6, sizes, ranks)


def test_groups_of_other_sizes_than_their_factors_are_refused():
    with pytest.raises(ValueError, match=r"groups have \[2, 4, 5\] tokens and their factors \[3, 4, 4\] rows"):
        GroupedEmbedding.from_groups(GROUP, [torch.zeros(n, 1) for n in (3, 4, 4)], [torch.zeros(1, 6)] * 3)


def test_copies_and_casts_keep_the_lookup_and_the_map():
    embedding = module(padding_idx=1)
    other = copy.deepcopy(embedding).half()

    assert other.position.dtype == torch.int32
    assert other(torch.tensor([3])).dtype == torch.float16
    torch.testing.assert_close(other.dense().float(), embedding.dense(), rtol=1e-2, atol=1e-2)


def test_it_compiles_as_one_graph():
    embedding, ids = module(padding_idx=3), torch.tensor([[0, 3, 4], [10, 1, 0]])
    compiled = torch.compile(embedding, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(ids), embedding(ids))


def test_it_prints_its_shape():
    assert "embedding_dim=6, sizes=[2, 4, 5], ranks=[2, 3, 1], padding_idx=None" in repr(module())
