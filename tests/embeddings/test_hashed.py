"""The lookup of weighted sums of shared vectors."""

import torch

from embfact.embeddings.hashed import HashedEmbedding

FUNCTIONS = [(1_234_567, 89), (2_147_483_646, 2_147_483_646)]
IDS = torch.tensor([[0, 3, 3], [10, 1, 0]])


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def module(padding_idx=None):
    return HashedEmbedding.from_buckets(numbers(4, 5), numbers(11, 2, seed=1), FUNCTIONS, padding_idx)


def table():
    """What it should stand for, row by row, in whole numbers of Python's."""
    vectors, importance = numbers(4, 5), numbers(11, 2, seed=1)
    return torch.stack(
        [
            sum(importance[v, i] * vectors[(a * v + b) % (2**31 - 1) % 4] for i, (a, b) in enumerate(FUNCTIONS))
            for v in range(11)
        ]
    )


def test_a_row_is_the_weighted_sum_of_the_vectors_in_its_buckets():
    torch.testing.assert_close(module()(IDS), table()[IDS])
    torch.testing.assert_close(module().dense(), table())


def test_scores_are_those_of_the_table():
    hidden = numbers(2, 3, 5, seed=2)
    torch.testing.assert_close(module().logits(hidden), hidden @ table().T)


def test_only_the_vectors_are_shared():
    embedding = module()
    embedding(torch.tensor([3])).sum().backward()
    assert embedding.importance.weight.grad.any(dim=1).nonzero().flatten().tolist() == [3]
    places = {(a * 3 + b) % (2**31 - 1) % 4 for a, b in FUNCTIONS}
    assert set(embedding.vectors.weight.grad.any(dim=1).nonzero().flatten().tolist()) == places


def test_padding_moves_nothing_that_is_its_own():
    embedding = module(padding_idx=-8)
    embedding(torch.tensor([3, 3])).sum().backward()
    assert embedding.padding_idx == 3
    assert not embedding.importance.weight.grad.any()


def test_nothing_is_saved_but_vectors_and_weights():
    assert {name: tuple(tensor.shape) for name, tensor in module().state_dict().items()} == {
        "vectors.weight": (4, 5),
        "importance.weight": (11, 2),
    }
    assert module().spec()["functions"] == [list(function) for function in FUNCTIONS]


def test_it_compiles_as_one_graph():
    embedding, hidden = module(), numbers(2, 5)
    compiled = torch.compile(embedding, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(IDS), embedding(IDS))
    logits = torch.compile(embedding.logits, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(logits(hidden), embedding.logits(hidden))
