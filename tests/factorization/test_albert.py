"""`albert` with init=svd starts near the pretrained block, and every size is that of the saved tensors."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    MPNetConfig,
    RobertaConfig,
)

from embfact.factorization.albert import Albert
from embfact.models.compress import compress, embedding_tensors, rebuild
from embfact.models.size import model_size
from embfact.models.storage import store
from tests.helpers.storages import STORAGES

SMALL = {
    "vocab_size": 61,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
}
DISTIL = {"vocab_size": 61, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24, "max_position_embeddings": 20}
CONFIGS = {
    "bert": BertConfig(**SMALL),
    "roberta": RobertaConfig(**SMALL),
    "distilbert": DistilBertConfig(**DISTIL),
    "mpnet": MPNetConfig(**SMALL),
    "electra": ElectraConfig(**SMALL, embedding_size=16),
}
IDS = torch.tensor([[5, 9, 33, 60], [7, 8, 1, 1]])
SVD = Albert(init="svd")
each_architecture = pytest.mark.parametrize("name", CONFIGS)


def pretrained(name, seed=0):
    """A model whose embedding block looks trained: no part is as a fresh one."""
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(CONFIGS[name]).eval()
    block = model.base_model.embeddings
    block.word_embeddings.weight.data += torch.randn(16) * 0.1
    block.LayerNorm.weight.data = 1 + 0.3 * torch.randn(16)
    block.LayerNorm.bias.data = 0.2 * torch.randn(16)
    return model


def adapted(name, rank, method=SVD, seed=0):
    model = pretrained(name)
    method.adapt(model, rank, seed)
    return model


@each_architecture
def test_at_full_size_it_is_the_pretrained_block(name):
    with torch.no_grad():
        expected, found = pretrained(name)(IDS).logits, adapted(name, 16)(IDS).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("rank", [2, 5, 11])
def test_the_projection_is_the_best_from_the_new_layer_norm_to_the_old_one(rank):
    old, new = pretrained("bert").base_model.embeddings, adapted("bert", rank).base_model.embeddings

    def sums(block):
        others = (block.position_embeddings, block.token_type_embeddings)
        return block.word_embeddings.weight + sum(table.weight.mean(0) for table in others)

    inputs = new.block.LayerNorm(sums(new.block)).detach().double().numpy()
    outputs = old.LayerNorm(sums(old)).detach().double().numpy()
    ones = np.ones((61, 1))
    best, *_ = np.linalg.lstsq(np.hstack([inputs, ones]), outputs, rcond=1e-6)
    found = np.vstack([new.projection.weight.detach().numpy().T, new.projection.bias.detach().numpy()])
    error = np.square(np.hstack([inputs, ones]) @ found - outputs).sum()
    assert error == pytest.approx(np.square(np.hstack([inputs, ones]) @ best - outputs).sum(), rel=1e-5)


@pytest.mark.parametrize("rank", [2, 5, 11])
def test_the_token_table_keeps_all_that_its_size_can_of_what_layer_norm_sees(rank):
    block = adapted("bert", rank).base_model.embeddings
    words = pretrained("bert").base_model.embeddings.word_embeddings.weight.detach().double().numpy()
    seen = words - words.mean(1, keepdims=True)
    singular = np.linalg.svd(seen, compute_uv=False)

    # Lengths are kept, so the squared norm says what is left; one of the E numbers has the mean, which is zero.
    table = block.word_embeddings.weight.detach().double().numpy() * (16 / rank) ** 0.5
    assert np.square(table).sum() == pytest.approx(np.square(singular[: rank - 1]).sum(), rel=1e-6)
    np.testing.assert_allclose(table.sum(1), 0, atol=1e-6)


@each_architecture
def test_it_is_nearer_to_the_pretrained_block_the_larger_it_is_and_than_random(name):
    inputs = {"input_ids": IDS}
    with torch.no_grad():
        expected = pretrained(name).base_model.embeddings(**inputs)
        blocks = [adapted(name, rank).base_model.embeddings for rank in (4, 8, 12, 16)]
        blocks.insert(0, adapted(name, 16, Albert()).base_model.embeddings)
        errors = [(block(**inputs) - expected).square().sum().item() for block in blocks]
    assert errors == sorted(errors, reverse=True)


def test_everything_is_trained():
    model = adapted("roberta", 5).train()
    model(IDS, labels=torch.tensor([0, 1])).loss.backward()
    block = model.base_model.embeddings
    assert all(weight.grad is not None and weight.grad.any() for weight in block.parameters())
    assert not model.get_input_embeddings().weight.grad[1].any(), "the padding row"


def test_the_seed_and_the_random_state_have_no_part_in_it():
    state = torch.random.get_rng_state()
    model, fresh = pretrained("bert"), pretrained("bert")
    torch.random.set_rng_state(state)
    SVD.adapt(model, 5, seed=1)
    SVD.adapt(fresh, 5, seed=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, fresh.state_dict()[name]), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_dtype_is_kept(dtype):
    model = pretrained("bert").to(dtype)
    SVD.adapt(model, 5)
    assert {weight.dtype for weight in model.parameters()} == {dtype}
    torch.testing.assert_close(model(IDS).logits.float(), adapted("bert", 5)(IDS).logits, rtol=0, atol=0.05)


def test_a_model_of_the_same_configuration_takes_the_saved_weights():
    model = pretrained("bert")
    compress(model, SVD, 5)
    assert model.config.embfact["adapter"]["init"] == "svd"

    fresh = AutoModelForSequenceClassification.from_config(copy.deepcopy(model.config)).eval()
    rebuild(fresh)
    fresh.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(fresh(IDS).logits, model(IDS).logits)


@pytest.mark.parametrize("init", ["random", "svd"])
@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_the_layout_is_what_is_saved(init, storage):
    model, method = pretrained("bert"), Albert(init=init)
    compress(model, method, 5)
    store(model, storage)
    assert model_size(model, embedding_tensors(model)) == method.size(61, 16, 5, storage)


def test_a_layer_norm_of_one_number_is_refused():
    with pytest.raises(ValueError, match="rank 1 is too small for albert of a 61 x 16 table; use 2 or more"):
        SVD.adapt(pretrained("bert"), 1)
    Albert().adapt(pretrained("bert"), 1)


def test_a_table_that_is_not_finite_is_refused_and_the_model_left_alone():
    model = pretrained("bert")
    model.get_input_embeddings().weight.data[7, 3] = float("nan")
    with pytest.raises(ValueError, match="not finite, the first in row 7"):
        SVD.adapt(model, 5)
    assert type(model.get_input_embeddings()) is nn.Embedding
    assert model.get_input_embeddings().embedding_dim == 16
