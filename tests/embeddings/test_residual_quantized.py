"""Sums of centroids with a number of stages of its own for each token."""

import pytest
import torch
from torch.nn import functional

from embfact.embeddings.layout import Storage
from embfact.embeddings.residual_quantized import ResidualQuantizedEmbedding


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LENGTHS = torch.tensor([2, 0, 3, 1, 0])
CODES = torch.tensor([[0, 1, 2], [3, 3, 3], [1, 0, 1], [2, 2, 0], [3, 0, 1], [0, 2, 3]])


def module(shared, padding_idx=None):
    groups = (1, 1) if shared else (2, 1)
    books = [numbers(3, group, 4, width, seed=width) for group, width in zip(groups, (2, 1), strict=True)]
    return ResidualQuantizedEmbedding.from_codebooks(LENGTHS, CODES, books, numbers(5), padding_idx)


@pytest.mark.parametrize("shared", [True, False])
def test_a_vector_is_the_mean_and_the_centroids_of_its_stages(shared):
    embedding = module(shared)
    wide, narrow = numbers(3, 1 if shared else 2, 4, 2, seed=2), numbers(3, 1, 4, 1, seed=1)
    second = 0 if shared else 1

    def stage(number, codes):
        return torch.cat([wide[number, 0, codes[0]], wide[number, second, codes[1]], narrow[number, 0, codes[2]]])

    expected = torch.stack(
        [
            stage(0, CODES[0]) + stage(1, CODES[1]),
            torch.zeros(5).double(),
            stage(0, CODES[2]) + stage(1, CODES[3]) + stage(2, CODES[4]),
            stage(0, CODES[5]),
            torch.zeros(5).double(),
        ]
    )
    torch.testing.assert_close(embedding.dense(), expected + numbers(5), rtol=0, atol=1e-12)
    assert embedding.shared is shared


@pytest.mark.parametrize("shared", [True, False])
def test_logits_and_their_gradients_are_those_of_the_table(shared):
    embedding, other, hidden = module(shared), module(shared), numbers(4, 5)
    scores, expected = embedding.logits(hidden), hidden @ other(torch.arange(5)).T
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-12)
    upstream = numbers(4, 5, seed=1)
    scores.backward(upstream)
    expected.backward(upstream)
    for (name, mine), theirs in zip(embedding.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=1e-12, msg=name)


def test_padding_sends_nothing_back():
    embedding = module(True, padding_idx=-3)
    embedding(torch.tensor([2, 2])).sum().backward()
    assert embedding.padding_idx == 2
    assert not any(parameter.grad.any() for parameter in embedding.parameters())


def test_only_the_centroids_of_looked_up_stages_get_gradients():
    embedding = module(True)
    embedding(torch.tensor([3])).sum().backward()
    wide = embedding.codebooks[0].weight.grad.view(3, 4, 2)
    assert not wide[1:].any()
    assert wide[0].any(dim=1).nonzero().flatten().tolist() == sorted({int(code) for code in CODES[5][:2]})


def test_codes_above_127_are_found():
    books = [numbers(1, 1, 256, 3)]
    embedding = ResidualQuantizedEmbedding.from_codebooks(
        torch.tensor([1, 1]), torch.tensor([[255], [128]]), books, torch.zeros(3).double()
    )
    assert torch.equal(embedding.dense(), books[0][0, 0, [255, 128]])


def test_a_tied_output_layer_agrees_when_stored():
    embedding, hidden = module(False), numbers(2, 5)
    embedding.store_tables(Storage("int8"))
    torch.testing.assert_close(embedding.logits(hidden), functional.linear(hidden, embedding.dense()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parts": 6}, "parts must be 1 to 5, the columns .found 6"),
        ({"parts": 0}, "parts must be 1 to 5"),
        ({"stages": 0}, "stages must be 1 to 255"),
        ({"centroids": 257}, "centroids must be 1 to 256.*found 257"),
        ({"code_rows": 34}, "code_rows must be 1 to 33.*found 34"),
        ({"padding_idx": 11}, "padding_idx must be an id of the 11 tokens .found 11"),
    ],
)
def test_shapes_that_mean_nothing_are_refused(change, words):
    shape = {"num_embeddings": 11, "embedding_dim": 5, "parts": 2, "stages": 3, "centroids": 4, "code_rows": 20}
    with pytest.raises(ValueError, match=words):
        ResidualQuantizedEmbedding(**{**shape, "shared": True, **change})


def test_codes_that_do_not_fit_the_stages_are_refused():
    with pytest.raises(ValueError, match="the tokens have 7 stages and 6 rows of codes"):
        ResidualQuantizedEmbedding.from_codebooks(
            LENGTHS + torch.tensor([1, 0, 0, 0, 0]), CODES, [numbers(3, 1, 4, 2), numbers(3, 1, 4, 1)], numbers(5)
        )
