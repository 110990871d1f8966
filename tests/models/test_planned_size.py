"""The size of a model is known before it is loaded: the shapes of its files give that of the model that is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers

from embfact.config.sections import ModelConfig
from embfact.factorization.albert import Albert
from embfact.models.compress import compress
from embfact.models.loading import load_backbone
from embfact.models.planned_size import block_shrinkage, dense_size
from embfact.models.size import model_size

NAMES = {"bert": "Bert", "roberta": "Roberta", "distilbert": "DistilBert", "mpnet": "MPNet", "electra": "Electra"}
NAMES |= {"albert": "Albert"}
SCRATCH = {"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def agree(model: ModelConfig, outputs: int, pooling: Any = None) -> int:
    """Compare with the model as it is loaded; returns the parameters."""
    names = tuple(map(str, range(outputs)))
    loaded, _ = load_backbone(model, num_labels=outputs, label_names=names, dropout=None, seed=0, pooling=pooling)
    planned = dense_size(model.model_dump_json(), pooling, outputs)
    assert planned == model_size(loaded)
    return planned.parameters


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("head", ["Model", "ForMaskedLM", "ForSequenceClassification"])
def test_a_checkpoint_has_the_size_of_its_classifier(kind, head, make_model, make_tokenizer, tmp_path: Path) -> None:
    config = make_model(kind).config
    getattr(transformers, NAMES[kind] + head)(config).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    model = ModelConfig(name_or_path=str(tmp_path))
    sizes = {agree(model, outputs) for outputs in (1, 2, 3)}
    assert len(sizes) == 3
    agree(model, 2, "mean")


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(name_or_path="packaged:minilm"),
        ModelConfig(name_or_path="packaged:minilm", static=True),
        ModelConfig(name="s", name_or_path=None, architecture=SCRATCH, tokenizer="packaged:minilm"),
    ],
    ids=["minilm", "static", "random weights"],
)
def test_the_backbones_that_need_no_network_are_known(model: ModelConfig) -> None:
    agree(model, 2)


def test_a_smaller_block_makes_the_other_tables_smaller() -> None:
    model = ModelConfig(name="s", name_or_path=None, architecture=SCRATCH, tokenizer="packaged:minilm")
    loaded, _ = load_backbone(model, num_labels=2, label_names=("a", "b"), dropout=None, seed=0)
    vocab_size, width = loaded.get_input_embeddings().weight.shape
    dense = model_size(loaded).parameters
    compress(loaded, Albert(), 8)
    lost = block_shrinkage(model.model_dump_json(), 8)
    own = Albert().size(vocab_size, width, 8).parameters
    assert lost is not None
    assert model_size(loaded).parameters == dense - vocab_size * width + own - lost


def test_what_cannot_be_known_is_not_guessed() -> None:
    unknown = ModelConfig(name_or_path="some/model-that-is-not-here")
    assert dense_size(unknown.model_dump_json(), None, 2) is None
    other = ModelConfig(
        name="s", name_or_path=None, architecture={"model_type": "t5", "d_model": 16}, tokenizer="packaged:minilm"
    )
    assert dense_size(other.model_dump_json(), None, 2) is None
