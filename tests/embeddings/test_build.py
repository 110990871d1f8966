"""Descriptions that cannot be followed are refused in words; what sound ones make is in `test_every_module`."""

import pytest
import torch
from torch import nn

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.build import build_embedding, describe_embedding
from embfact.embeddings.dense import DenseEmbedding


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"class": "low_rnk"}, "did you mean 'low_rank'"),
        ({"num_embeddings": 3}, "unknown embedding class None; use one of"),
        ({"class": "low_rank", "num_embeddings": 3}, "description of a low_rank embedding is damaged.*save the model"),
        ({"class": "dense", "num_embeddings": 3, "embedding_dim": 2, "rank": 1}, "rank.*save the model"),
        ({"class": "dense", "num_embeddings": 3, "embedding_dim": 2, "storage": "int3"}, r"damaged \(storage int3"),
        ({"class": "dense", "num_embeddings": 3, "embedding_dim": 2, "dtype": "real"}, "damaged.*dtype real"),
    ],
)
def test_a_damaged_description_is_refused_in_words(description, words):
    with pytest.raises(ValueError, match=words):
        build_embedding(description)


def test_a_class_without_a_name_is_refused_in_words():
    class Other(TokenEmbedding):
        def forward(self, ids):
            return ids

        def spec(self):
            return {}

    with pytest.raises(ValueError, match="Other cannot be described"):
        describe_embedding(Other())


def test_the_dense_module_does_what_a_torch_embedding_does():
    module = DenseEmbedding.from_table(torch.randn(11, 6), padding_idx=1)
    same = nn.Embedding(11, 6, padding_idx=1)
    same.load_state_dict(module.state_dict(), strict=True)
    ids = torch.tensor([[0, 1], [2, 10]])

    assert torch.equal(module(ids), same(ids))
    module(ids).sum().backward()
    assert module.weight.grad[1].count_nonzero() == 0
    assert module.weight.grad[0].count_nonzero() == 6
