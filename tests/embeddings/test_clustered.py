"""The lookup of rows in subspaces of their own."""

import pytest
import torch
from torch.nn import functional

from embfact.embeddings.clustered import ClusteredEmbedding

CLUSTER = torch.tensor([2, 0, 0, 3, 2, 3, 0, 3, 3])  # nothing in cluster 1
IDS = torch.tensor([[0, 3, 3], [8, 1, 0]])


def module(padding_idx=None):
    draw = torch.Generator().manual_seed(0)
    factors, bases = torch.randn(9, 2, generator=draw), torch.randn(4, 2, 5, generator=draw)
    return ClusteredEmbedding.from_clusters(CLUSTER, factors, bases, padding_idx)


def table(embedding):
    """What it should stand for, row by row."""
    bases = embedding.projections.weight.detach().split(2)
    return torch.stack([row @ bases[c] for row, c in zip(embedding.factors.weight.detach(), CLUSTER, strict=True)])


def test_a_row_is_mapped_by_the_projection_of_its_cluster():
    embedding = module()
    torch.testing.assert_close(embedding(IDS), functional.embedding(IDS, table(embedding)))
    torch.testing.assert_close(embedding.dense(), table(embedding))
    assert embedding.cluster.dtype == torch.uint8
    assert embedding.spec()["sizes"] == [3, 0, 2, 4]


def test_scores_are_in_the_order_of_the_ids():
    hidden = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(module().logits(hidden), hidden @ table(module()).T)


def test_only_the_projections_of_clusters_looked_up_get_a_gradient():
    embedding = module()
    embedding(torch.tensor([0, 4])).sum().backward()
    by_cluster = embedding.projections.weight.grad.split(2)
    assert [bool(part.any()) for part in by_cluster] == [False, False, True, False]
    assert embedding.factors.weight.grad.any(dim=1).nonzero().flatten().tolist() == [0, 4]


def test_padding_moves_nothing_that_is_its_own():
    embedding = module(padding_idx=-6)
    embedding(torch.tensor([3, 3])).sum().backward()
    assert embedding.padding_idx == 3
    assert not embedding.factors.weight.grad.any()


def test_its_projections_can_be_trained_alone():
    embedding = module()
    assert embedding.projection_parameters() == [embedding.projections.weight]


def test_it_compiles_as_one_graph():
    embedding, hidden = module(), torch.ones(2, 5)
    compiled = torch.compile(embedding, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(IDS), embedding(IDS))
    logits = torch.compile(embedding.logits, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(logits(hidden), embedding.logits(hidden))


@pytest.mark.parametrize("sizes", [[], [3, -1], [1] * 257])
def test_clusters_that_cannot_be_are_refused(sizes):
    with pytest.raises(ValueError, match="1 to 256 clusters of 0 or more tokens"):
        ClusteredEmbedding(5, sizes, 2)
