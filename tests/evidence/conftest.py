"""Tiny models of several kinds, and rows of random tokens to take gradients on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from embfact.config.sections import OptimizerConfig
from embfact.data.tokenized import Tokenized
from embfact.tasks.sequence_classification import SequenceClassification

V, PAD, END = 40, 1, 2
BERT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
BART = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
KINDS: dict[str, dict[str, Any]] = {
    "bert": BERT,
    "roberta": BERT | {"max_position_embeddings": 40},
    "distilbert": {"dim": 16, "hidden_dim": 32, "n_layers": 2, "n_heads": 2},
    "electra": BERT | {"embedding_size": 8},
    "deberta-v2": BERT,
    "modernbert": BERT | {"bos_token_id": 0, "cls_token_id": 0, "sep_token_id": END},
    "llama": BERT | {"bos_token_id": 0},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40},
    "bart": BART | {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "scale_embedding": True},
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": PAD},
}


@pytest.fixture
def make_task() -> Callable[..., SequenceClassification]:
    """A tiny classifier (or regressor, with one label) whose weights follow the seed; its dropout is on."""

    def make(kind: str = "bert", num_labels: int = 3, seed: int = 0) -> SequenceClassification:
        options = {"vocab_size": V, "pad_token_id": PAD, "eos_token_id": END, "num_labels": num_labels}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            config = AutoConfig.for_model(kind, **options | KINDS[kind])
            model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
        # Weights as they are drawn give gradients too small to compare.
        model.get_input_embeddings().weight.data.mul_(20)
        optimizer = OptimizerConfig(name="adamw", lr=1e-3, weight_decay=0, warmup_ratio=0)
        return SequenceClassification(model.train(), optimizer, ["accuracy"])

    return make


@pytest.fixture
def make_rows() -> Callable[..., Tokenized]:
    """Rows of 2 to 9 tokens, the last of which ends the text; tokens come twice in a row, and some never."""

    def make(count: int = 14, num_labels: int = 3, seed: int = 0) -> Tokenized:
        draw = np.random.default_rng(seed)
        lengths = draw.integers(2, 10, count)
        texts = [np.append(draw.integers(3, 14, length - 1), END) for length in lengths]
        labels = draw.integers(num_labels, size=count) if num_labels > 1 else draw.normal(size=count)
        return Tokenized(np.arange(count), labels, lengths, np.concatenate(texts).astype(np.int32), None)

    return make
