"""Tiny checkpoints with random weights, one of each kind of encoder, saved as users have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerFast

from embfact.config.sections import ModelConfig

VOCAB = {word: code for code, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(56))])}
BERT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": BERT,
    "roberta": BERT | {"type_vocab_size": 1, "max_position_embeddings": 40},
    "distilbert": {"dim": 16, "hidden_dim": 32, "n_layers": 2, "n_heads": 2},
    "mpnet": BERT,
    "electra": BERT | {"embedding_size": 8},
    "albert": BERT | {"embedding_size": 8},
}
DENSE = [kind for kind, options in ENCODERS.items() if "embedding_size" not in options]


def _make_tokenizer() -> PreTrainedTokenizerFast:
    """A word-level tokenizer of 60 words."""
    backend = Tokenizer(models.WordLevel(VOCAB, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def _make_model(kind: str, num_labels: int = 2, **changes: Any) -> PreTrainedModel:
    """A tiny encoder of the kind, in evaluation mode, its weights from seed 0."""
    options = {"vocab_size": len(VOCAB), "pad_token_id": 0, "num_labels": num_labels} | ENCODERS[kind] | changes
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForSequenceClassification.from_config(AutoConfig.for_model(kind, **options)).eval()


def _logits_of(model: PreTrainedModel) -> torch.Tensor:
    """Logits of three fixed rows, one of them padded, shape ``(3, classes)``."""
    ids = torch.tensor([[2, 10, 11, 12, 3], [2, 20, 21, 59, 3], [2, 30, 3, 0, 0]])
    with torch.no_grad():
        return model.eval()(input_ids=ids, attention_mask=(ids != 0).long()).logits


@pytest.fixture
def make_tokenizer() -> Callable[[], PreTrainedTokenizerFast]:
    return _make_tokenizer


@pytest.fixture
def make_model() -> Callable[..., PreTrainedModel]:
    return _make_model


@pytest.fixture
def logits_of() -> Callable[[PreTrainedModel], torch.Tensor]:
    return _logits_of


@pytest.fixture(params=ENCODERS)
def kind(request: pytest.FixtureRequest) -> str:
    """Every kind of encoder in turn."""
    return request.param


@pytest.fixture(params=DENSE)
def dense_kind(request: pytest.FixtureRequest) -> str:
    """Every kind of encoder whose table is as wide as its layers, in turn."""
    return request.param


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Saves a tiny encoder's body, without a head, as pretrained backbones are published."""

    def save(kind: str = "bert", **changes: Any) -> Path:
        directory = tmp_path / kind
        _make_model(kind, **changes).base_model.save_pretrained(directory)
        _make_tokenizer().save_pretrained(directory)
        return directory

    return save


@pytest.fixture
def backbone(checkpoint: Callable[..., Path]) -> Callable[..., ModelConfig]:
    """The configuration of a saved tiny encoder."""
    return lambda kind="bert", **changes: ModelConfig(name_or_path=str(checkpoint(kind, **changes)))
