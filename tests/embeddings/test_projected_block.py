"""ALBERT's factorized embedding block, put into other architectures."""

import copy

import pytest
import torch
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertModel,
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    ModernBertConfig,
    MPNetConfig,
    RobertaConfig,
)

from embfact.embeddings.projected_block import ProjectedBlock
from embfact.factorization.albert import Albert

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
    "distilbert-sinusoidal": DistilBertConfig(**DISTIL, sinusoidal_pos_embds=True),
    "mpnet": MPNetConfig(**SMALL),
    "electra": ElectraConfig(**SMALL, embedding_size=16),
}
IDS = torch.tensor([[5, 9, 33, 60], [7, 8, 1, 1]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
each_architecture = pytest.mark.parametrize("name", CONFIGS)


def build(config):
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(config).eval()


def adapted(name, rank=4, seed=0):
    model = build(CONFIGS[name])
    Albert().adapt(model, rank, seed)
    return model


@each_architecture
def test_the_whole_block_lives_at_the_small_size_and_the_model_still_works(name):
    model = adapted(name)
    block = model.base_model.embeddings

    assert isinstance(block, ProjectedBlock)
    tables = [part for part in block.modules() if isinstance(part, nn.Embedding)]
    assert len(tables) >= 2
    assert {table.embedding_dim for table in tables} == {4}
    assert block.LayerNorm.normalized_shape == (4,)
    assert block.projection.weight.shape == (16, 4)
    assert model.get_input_embeddings() is block.word_embeddings
    assert model(IDS, attention_mask=MASK).logits.shape == (2, 2)


@each_architecture
def test_everything_new_is_trained_but_the_padding_row(name):
    model = adapted(name)
    model(IDS, attention_mask=MASK).logits.square().sum().backward()

    block, table = model.base_model.embeddings, model.get_input_embeddings()
    assert all(parameter.grad is not None for parameter in block.parameters())
    assert table.weight.grad[IDS[0]].count_nonzero() > 0
    assert table.weight[table.padding_idx].count_nonzero() == 0
    assert table.weight.grad[table.padding_idx].count_nonzero() == 0


@each_architecture
def test_a_fresh_model_adapted_with_another_seed_takes_the_saved_weights(name):
    saved, fresh = adapted(name, seed=1), adapted(name, seed=2)
    assert not torch.equal(saved(IDS).logits, fresh(IDS).logits)

    fresh.load_state_dict(saved.state_dict(), strict=True)

    assert torch.equal(saved(IDS).logits, fresh(IDS).logits)


def test_it_is_the_embedding_of_alberts_own_implementation():
    shape = {**SMALL, "layer_norm_eps": 1e-12}
    albert = AlbertModel(AlbertConfig(**shape, embedding_size=4, hidden_act="gelu")).eval()
    block = adapted("bert").base_model.embeddings
    block.block.load_state_dict(albert.embeddings.state_dict())
    block.projection.load_state_dict(albert.encoder.embedding_hidden_mapping_in.state_dict())
    segments = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 0]])

    expected = albert.encoder.embedding_hidden_mapping_in(albert.embeddings(IDS, token_type_ids=segments))

    torch.testing.assert_close(block(input_ids=IDS, token_type_ids=segments), expected, rtol=0, atol=1e-6)


def test_new_weights_are_drawn_as_the_paper_says_and_by_the_seed_alone():
    first, same, other = (adapted("bert", rank=8, seed=seed) for seed in (3, 3, 4))
    block = first.base_model.embeddings

    for weight in (block.word_embeddings.weight, block.position_embeddings.weight, block.projection.weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert block.projection.bias.count_nonzero() == 0
    assert block.LayerNorm.bias.count_nonzero() == 0
    assert torch.equal(block.LayerNorm.weight, torch.ones(8))
    assert all(map(torch.equal, first.state_dict().values(), same.state_dict().values()))
    assert not torch.equal(block.projection.weight, other.base_model.embeddings.projection.weight)
    untouched = [name for name in build(CONFIGS["bert"]).state_dict() if "embeddings" not in name]
    assert untouched
    assert all(torch.equal(first.state_dict()[name], build(CONFIGS["bert"]).state_dict()[name]) for name in untouched)


def test_adapting_does_not_move_the_random_state():
    model = build(CONFIGS["bert"])
    state = torch.random.get_rng_state()
    Albert().adapt(model, 4)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("rank", [1, 4, 11])
def test_the_formula_counts_token_table_and_projection(rank):
    model = adapted("bert", rank)
    counted = [model.get_input_embeddings(), model.base_model.embeddings.projection]
    assert Albert().parameters(61, 16, rank) == sum(p.numel() for part in counted for p in part.parameters())


@pytest.mark.parametrize(("vocab_size", "hidden_size"), [(30522, 768), (30522, 384), (61, 16), (2, 2)])
def test_the_largest_size_is_the_last_that_shrinks_the_table(vocab_size, hidden_size):
    largest = Albert().largest_rank(vocab_size, hidden_size)
    sizes = [Albert().parameters(vocab_size, hidden_size, size) for size in (largest, largest + 1)]
    assert sizes[0] < vocab_size * hidden_size <= sizes[1]


def test_dtype_and_mode_of_the_block_are_kept():
    model = build(CONFIGS["bert"]).to(torch.bfloat16).train()
    Albert().adapt(model, 4)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert all(module.training for module in model.modules())


def test_a_copy_is_independent_and_a_new_table_takes_the_place_of_the_old_one():
    model = adapted("bert")
    other = copy.deepcopy(model)
    table = nn.Embedding(61, 4, padding_idx=0)
    names = list(other.state_dict())

    other.set_input_embeddings(table)

    assert other.get_input_embeddings() is table is other.base_model.embeddings.block.word_embeddings
    assert list(other.state_dict()) == names
    assert model.get_input_embeddings() is not table


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (AlbertConfig(**SMALL, embedding_size=4), r"already factorized \(4 columns for 16\).*factorization=none"),
        (ElectraConfig(**SMALL, embedding_size=4), r"already factorized \(4 columns for 16\).*refactorize_existing=t"),
        (GPT2Config(vocab_size=61, n_embd=16, n_layer=1, n_head=2), "has no word_embeddings.*use svd or random"),
        (ModernBertConfig(**SMALL, pad_token_id=0), "has no word_embeddings and no position_embeddings"),
        (DebertaV2Config(**SMALL, position_biased_input=False), "has no position_embeddings"),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_models_without_such_a_block_are_refused_and_left_alone(config, words):
    model = build(config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    with pytest.raises(ValueError, match=words):
        Albert().adapt(model, 2)

    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_adapting_twice_is_refused():
    model = adapted("bert")
    with pytest.raises(ValueError, match=r"already factorized \(4 columns for 16\)"):
        Albert().adapt(model, 2)


def test_a_factorized_block_is_taken_when_asked_for():
    model = build(ElectraConfig(**SMALL, embedding_size=8))
    Albert(refactorize_existing=True).adapt(model, 2)
    assert model.get_input_embeddings().embedding_dim == 2
    assert model(IDS).logits.shape == (2, 2)


def test_a_block_with_other_learned_parts_is_refused():
    model = build(CONFIGS["bert"])
    model.base_model.embeddings.gate = nn.Linear(16, 16)
    with pytest.raises(ValueError, match="also has gate; use svd"):
        Albert().adapt(model, 2)


@pytest.mark.parametrize("rank", [None, 0, 17])
def test_a_size_that_the_model_cannot_take_is_refused(rank):
    model = build(CONFIGS["bert"])
    with pytest.raises(ValueError, match=f"rank.*{rank}"):
        Albert().adapt(model, rank)
    assert model.get_input_embeddings().embedding_dim == 16
