"""The lookup of kept rows and of the one that all other tokens share."""

import copy

import pytest
import torch
from torch.nn import functional

from embfact.embeddings.pruned import PrunedEmbedding

KEPT = [0, 3, 7, 10]
IDS = torch.tensor([[0, 3, 4], [10, 1, 0]])


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def module(padding_idx=None, kept=KEPT):
    rows, shared = numbers(len(kept), 5), numbers(5, seed=1)
    return PrunedEmbedding.from_rows(11, torch.tensor(kept), rows, shared, padding_idx)


def table(kept):
    dense = numbers(5, seed=1).repeat(11, 1)
    dense[kept] = numbers(len(kept), 5)
    return dense


@pytest.mark.parametrize("kept", [KEPT, [5], list(range(10)), list(range(1, 11))])
def test_kept_tokens_have_their_rows_and_the_others_share_one(kept):
    embedding, hidden = module(kept=kept), numbers(2, 3, 5, seed=2)
    assert torch.equal(embedding(IDS), functional.embedding(IDS, table(kept)))
    assert torch.equal(embedding.dense(), table(kept))
    torch.testing.assert_close(embedding.logits(hidden), hidden @ table(kept).T)


def test_the_shared_row_gathers_the_gradients_of_its_tokens():
    embedding = module()
    embedding(torch.tensor([3, 4, 9])).sum().backward()
    assert embedding.rows.weight.grad[:, 0].tolist() == [0, 1, 0, 0, 2]


@pytest.mark.parametrize("padding_idx", [3, 4, -7])
def test_padding_sends_nothing_back(padding_idx):
    embedding = module(padding_idx)
    embedding(torch.tensor([padding_idx % 11, padding_idx % 11])).sum().backward()
    assert embedding.padding_idx == padding_idx % 11
    assert not embedding.rows.weight.grad.any()
    embedding(torch.tensor([9])).sum().backward()
    assert embedding.rows.weight.grad[4].any(), "other tokens train the row that it shares"


@pytest.mark.parametrize("kept", [[], [3, 0], [3, 3], [-1, 2], [2, 11]])
def test_ids_that_are_not_ascending_tokens_are_refused(kept):
    with pytest.raises(ValueError, match="ascending ids of the 11 tokens"):
        module(kept=kept)


@pytest.mark.parametrize("kept_rows", [0, 11])
def test_a_number_of_rows_that_prunes_nothing_is_refused(kept_rows):
    with pytest.raises(ValueError, match=f"below the 11 tokens .found {kept_rows}"):
        PrunedEmbedding(11, 5, kept_rows)


def test_copies_and_casts_keep_the_ids():
    other = copy.deepcopy(module()).half()
    assert other.kept_ids.dtype == torch.int32
    torch.testing.assert_close(other.dense().float(), module().dense(), rtol=1e-2, atol=1e-2)


def test_it_compiles_as_one_graph():
    embedding = module()
    compiled = torch.compile(embedding, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(IDS), embedding(IDS))
