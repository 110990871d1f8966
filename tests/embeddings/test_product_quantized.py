"""The lookup of codes in codebooks, and learning the codes with a straight-through estimator."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from embfact.embeddings.build import build_embedding, describe_embedding
from embfact.embeddings.layout import Storage
from embfact.embeddings.product_quantized import ProductQuantizedEmbedding, nearest
from embfact.models.size import model_size

IDS = torch.tensor([[0, 3, 3], [10, 1, 0]])


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def module(padding_idx=None, latents=False):
    books = [numbers(4, 2), numbers(4, 2, seed=1), numbers(4, 1, seed=2)]
    dense = numbers(11, 5, seed=3)
    codes = torch.stack([nearest(*pair) for pair in zip(dense.split([2, 2, 1], 1), books, strict=True)], dim=1)
    return ProductQuantizedEmbedding.from_codebooks(codes, books, padding_idx, dense if latents else None)


def by_hand(embedding, codes):
    """Rows of the codes, looked up one by one."""
    books = [part for rows in embedding.codebooks for part in rows.matrix().detach().split(embedding.centroids)]
    rows = [[book[code] for book, code in zip(books, row, strict=True)] for row in codes.tolist()]
    return torch.stack([torch.cat(row) for row in rows])


def nearest_by_hand(embedding, dense):
    books = [part for rows in embedding.codebooks for part in rows.matrix().detach().split(embedding.centroids)]
    parts = dense.split([book.shape[1] for book in books], dim=1)
    return np.stack(
        [
            np.square(part.numpy()[:, None] - book.numpy()[None]).sum(axis=2).argmin(axis=1)
            for part, book in zip(parts, books, strict=True)
        ],
        axis=1,
    )


def train(embedding, target, steps=60):
    """Pull all vectors to a target; the error that is left in evaluation mode."""
    optimizer = torch.optim.Adam(embedding.parameters(), lr=0.05)
    everything = torch.arange(len(target))
    for _ in range(steps):
        optimizer.zero_grad()
        (embedding(everything) - target).square().sum().backward()
        optimizer.step()
    return (embedding.eval().dense() - target).square().sum().item()


def test_a_vector_is_made_of_the_centroids_of_its_codes():
    embedding = module()
    assert torch.equal(embedding(IDS), functional.embedding(IDS, by_hand(embedding, embedding.codes)))
    assert [(rows.count, rows.width) for rows in embedding.codebooks] == [(8, 2), (4, 1)]


def test_codes_above_127_are_found():
    codes = torch.tensor([[255, 0], [128, 254]])
    embedding = ProductQuantizedEmbedding.from_codebooks(codes, [numbers(256, 3), numbers(256, 3, seed=1)])
    assert embedding.codes.dtype == torch.uint8
    assert torch.equal(embedding.dense(), by_hand(embedding, codes))


def test_in_training_latents_are_replaced_by_their_nearest_centroids():
    embedding = module(latents=True)
    embedding.latents.data = numbers(11, 5, seed=9)

    expected = by_hand(embedding, torch.tensor(nearest_by_hand(embedding, numbers(11, 5, seed=9))))

    torch.testing.assert_close(embedding(torch.arange(11)), expected, rtol=0, atol=1e-12)
    hidden = numbers(3, 5)
    torch.testing.assert_close(embedding.logits(hidden), hidden @ expected.T, rtol=0, atol=1e-12)


def test_gradients_go_to_the_centroids_and_straight_through_to_the_latents():
    embedding, plain, upstream = module(latents=True), module(), numbers(2, 3, 5)
    (embedding(IDS) * upstream).sum().backward()
    (plain(IDS) * upstream).sum().backward()

    expected = torch.zeros(11, 5, dtype=torch.float64).index_add_(0, IDS.flatten(), upstream.flatten(0, 1))
    torch.testing.assert_close(embedding.latents.grad, expected)
    for mine, other in zip(embedding.codebooks, plain.codebooks, strict=True):
        torch.testing.assert_close(mine.weight.grad, other.weight.grad)


def test_padding_sends_nothing_back():
    embedding = module(padding_idx=-8, latents=True)
    embedding(torch.tensor([3, 3])).sum().backward()
    assert embedding.padding_idx == 3
    assert not any(parameter.grad.any() for parameter in embedding.parameters())


def test_learned_codes_come_nearer_to_what_training_asks_for():
    target = numbers(11, 5, seed=5)
    fixed, learned = module(), module(latents=True)
    assert train(learned, target) < 0.7 * train(fixed, target)
    assert not torch.equal(learned.codes, module().codes)
    assert torch.equal(fixed.codes, module().codes)


@pytest.mark.parametrize("end", ["eval", "state_dict"])
def test_codes_are_taken_from_the_latents_when_training_ends_or_weights_are_asked_for(end):
    embedding = module(latents=True)
    embedding.latents.data = numbers(11, 5, seed=9)
    codes = embedding.eval().codes if end == "eval" else embedding.state_dict()["codes"]
    np.testing.assert_array_equal(codes.numpy(), nearest_by_hand(embedding, numbers(11, 5, seed=9)))


def test_what_is_saved_has_no_latents_and_trains_its_centroids_alone():
    embedding, plain = module(latents=True), module()
    assert embedding.state_dict().keys() == plain.state_dict().keys()
    assert model_size(embedding) == model_size(plain)
    assert describe_embedding(embedding) == describe_embedding(plain)
    train(embedding, numbers(11, 5, seed=5))

    loaded = build_embedding(describe_embedding(embedding))
    loaded.load_state_dict(embedding.state_dict(), strict=True)

    assert loaded.latents is None
    assert torch.equal(loaded.dense(), embedding.dense())
    assert torch.equal(loaded.train()(IDS), embedding.eval()(IDS))


def test_weights_of_a_better_epoch_are_not_undone_by_later_latents():
    embedding = module(latents=True)
    best = copy.deepcopy(embedding.state_dict())
    expected = embedding.eval().dense()
    train(embedding.train(), numbers(11, 5, seed=5))

    embedding.load_state_dict(best)

    assert torch.equal(embedding.eval().dense(), expected)
    assert torch.equal(embedding.state_dict()["codes"], best["codes"])


def test_storing_ends_the_learning_of_codes():
    embedding = module(latents=True)
    embedding.latents.data = numbers(11, 5, seed=9)
    expected = nearest_by_hand(embedding, numbers(11, 5, seed=9))
    embedding.store_tables(Storage("int8"))

    assert embedding.latents is None
    np.testing.assert_array_equal(embedding.codes.numpy(), expected)
    assert embedding(IDS).dtype == torch.float64


def test_a_copy_learns_on_its_own():
    embedding = module(latents=True)
    other = copy.deepcopy(embedding)
    train(other, numbers(11, 5, seed=5))
    assert torch.equal(embedding.dense(), module().dense())
    assert other.latents is not embedding.latents


def test_it_compiles_as_one_graph():
    embedding, plain = module(latents=True), module()
    compiled = torch.compile(embedding, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(IDS), embedding(IDS))
    logits = torch.compile(plain.logits, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(logits(numbers(2, 5)), plain.logits(numbers(2, 5)))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((11, 5, 6, 4), "codes_per_token must be 1 to 5, the columns .found 6"),
        ((11, 5, 0, 4), "codes_per_token must be 1 to 5"),
        ((11, 5, 2, 257), "centroids must be 1 to 256.*found 257"),
        ((11, 5, 2, 4, 11), "padding_idx must be an id of the 11 tokens .found 11"),
    ],
)
def test_shapes_that_mean_nothing_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        ProductQuantizedEmbedding(*arguments)
