"""A module described as JSON and built again takes the weights of the first one."""

import copy
import json

import pytest
import torch
from torch import nn

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.build import CLASSES, build_embedding, describe_embedding
from embfact.embeddings.dense import DenseEmbedding
from embfact.embeddings.grouped import GroupedEmbedding
from embfact.embeddings.hybrid import HybridEmbedding
from embfact.embeddings.low_rank import LowRankEmbedding

LOW_RANK = LowRankEmbedding.from_factors(torch.randn(11, 3), torch.randn(3, 6), padding_idx=1)
MODULES = {
    "dense": DenseEmbedding.from_table(torch.randn(11, 6), padding_idx=1),
    "low_rank": LOW_RANK,
    "hybrid": HybridEmbedding.from_parts(copy.deepcopy(LOW_RANK), torch.tensor([2, 3, 9]), torch.randn(3, 6)),
    "grouped": GroupedEmbedding.from_groups(
        torch.arange(11) % 2, [torch.randn(6, 2), torch.randn(5, 3)], [torch.randn(2, 6), torch.randn(3, 6)], 1
    ),
}


def test_every_class_is_tried_here():
    assert MODULES.keys() == CLASSES.keys()


@pytest.mark.parametrize("name", MODULES)
def test_description_and_weights_make_the_module_again(name):
    module = MODULES[name]
    description = json.loads(json.dumps(describe_embedding(module)))
    state = torch.random.get_rng_state()

    other = build_embedding(description)

    assert description["class"] == name
    assert torch.equal(torch.random.get_rng_state(), state), "building an empty module must not draw random numbers"
    other.load_state_dict(module.state_dict(), strict=True)
    assert type(other) is type(module)
    assert other.padding_idx == 1
    assert torch.equal(other.dense(), module.dense())


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"class": "low_rnk"}, "did you mean 'low_rank'"),
        ({"num_embeddings": 3}, "unknown embedding class None; use one of: dense, .*low_rank"),
        ({"class": "low_rank", "num_embeddings": 3}, "description of a low_rank embedding is damaged.*save the model"),
        ({"class": "dense", "num_embeddings": 3, "embedding_dim": 2, "rank": 1}, "rank.*save the model"),
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
    module = MODULES["dense"]
    same = nn.Embedding(11, 6, padding_idx=1)
    same.load_state_dict(module.state_dict(), strict=True)
    ids = torch.tensor([[0, 1], [2, 10]])

    assert torch.equal(module(ids), same(ids))
    module(ids).sum().backward()
    assert module.weight.grad[1].count_nonzero() == 0
    assert module.weight.grad[0].count_nonzero() == 6
