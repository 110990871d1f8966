"""The operations of a row are those that the shapes of a BERT say."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from embfact.config.compose import read_request
from embfact.models.compress import compress
from embfact.models.trainable import freeze
from embfact.profiling.profile import row_flops

LAYERS, H, INNER, V, CLASSES, RANK = 3, 16, 40, 50, 2, 4
ROW = np.array([2, 7, 8, 9, 3])


@pytest.fixture
def model() -> Any:
    shape = {"hidden_size": H, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": INNER}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = AutoConfig.for_model("bert", vocab_size=V, num_labels=CLASSES, **shape)
        return AutoModelForSequenceClassification.from_config(config).train()


def test_six_a_weight_and_token_and_attention(model: Any) -> None:
    """Kaplan et al. 2020: 2 operations a weight in the forward, 4 in the backward pass."""
    found = row_flops(model, ROW)
    assert found.linear == 6 * LAYERS * (4 * H * H + 2 * H * INNER)
    # Scores and their weighted sum: 2 n^2 H operations each in the forward, twice that in the backward pass.
    assert found.quadratic == LAYERS * 2 * 6 * H
    assert found.constant == 6 * (H * H + H * CLASSES)


def test_rows_of_any_length_add_up(model: Any) -> None:
    found = row_flops(model, ROW)
    lengths = np.array([5, 9, 31])
    counted = sum(found.constant + found.linear * n + found.quadratic * n * n for n in lengths)
    assert found.of(len(lengths), int(lengths.sum()), int((lengths**2).sum())) == counted


def test_what_needs_no_gradient_has_none(conf: Path, model: Any) -> None:
    (config,) = read_request(conf, ["factorization=svd"], multirun=False).configs
    dense = row_flops(model, ROW)
    compress(model, config.factorization, RANK)
    factorized = row_flops(model, ROW)
    assert factorized.linear - dense.linear == 6 * RANK * H
    freeze(model, "factors")
    # The gradients of the encoder's activations are needed still, those of its weights are not.
    assert row_flops(model, ROW).linear == pytest.approx(dense.linear * 4 / 6 + 6 * RANK * H)


def test_the_model_and_the_random_numbers_stay_as_they_are(model: Any) -> None:
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    attention = model.config._attn_implementation
    row_flops(model, ROW)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    assert model.config._attn_implementation == attention


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("roberta", {"max_position_embeddings": 12, "pad_token_id": 1, "type_vocab_size": 1}),
        ("distilbert", {"dim": H, "hidden_dim": INNER, "n_layers": 2, "n_heads": 2}),
        ("bart", {"d_model": H, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": INNER, "eos_token_id": 3}),
        ("gpt2", {"n_embd": H, "n_layer": 2, "n_head": 2, "pad_token_id": 0}),
    ],
)
def test_other_architectures_can_be_counted(architecture: str, options: dict[str, Any]) -> None:
    small = {"hidden_size": H, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": INNER}
    known = AutoConfig.for_model(architecture).to_dict()
    shape = {name: value for name, value in small.items() if name in known}
    config = AutoConfig.for_model(architecture, vocab_size=V, **(shape | options))
    found = row_flops(AutoModelForSequenceClassification.from_config(config), ROW)
    assert found.linear > 0
    assert found.quadratic > 0
