"""Every method in an encoder, a decoder with a tied output layer, and an encoder with a decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from embfact.embeddings.layout import FLOAT32, Storage
from embfact.errors import ModelError
from embfact.factorization.base import Evidence, ModelAdapter
from embfact.models.checkpoint import WEIGHTS, load_model, save
from embfact.models.compress import compress, embedding_tensors
from embfact.models.own_save import own_save
from embfact.models.size import model_size, saved_bytes
from embfact.models.storage import store
from tests.helpers.methods import AT_MOST, METHODS, MODEL_METHODS
from tests.helpers.storages import QUANTIZED, STORAGES
from tests.helpers.zoo import Specimen, loss, output

V, H, BUDGET = 640, 32, 0.6
ARCHITECTURES = {
    "encoder": (Specimen("bert", "BertForSequenceClassification"), {"hidden_size": H}),
    "decoder": (Specimen("llama", "LlamaForCausalLM", tied=True), {"hidden_size": H, "tie_word_embeddings": True}),
    "both": (Specimen("bart-scaled", "BartForConditionalGeneration", tied=True), {"d_model": H}),
}
TABLES = [name for name, method in MODEL_METHODS.items() if not isinstance(method, ModelAdapter)]
COUNTS = torch.arange(V, 0, -1, dtype=torch.float64).square()


def evidence() -> Evidence:
    """All that a method may look at."""
    draw = torch.Generator().manual_seed(0)
    gradients = torch.randn(100, H, generator=draw, dtype=torch.float64)
    row_gradients = torch.rand(V, generator=draw, dtype=torch.float64)
    return Evidence(COUNTS, row_gradients, gradients.T @ gradients / 100)


def build(architecture: str) -> PreTrainedModel:
    specimen, changes = ARCHITECTURES[architecture]
    return specimen.build(vocab_size=V, **changes)


def rank_of(name: str, storage: Storage = FLOAT32) -> int | None:
    method = METHODS[name]
    return method.rank_for_budget(V, H, BUDGET, storage=storage) if method.uses_rank else None


def compressed(name: str, architecture: str, storage: Storage = FLOAT32) -> PreTrainedModel:
    model = build(architecture)
    compress(model, METHODS[name], rank_of(name), evidence=evidence())
    store(model, storage)
    return model


def pairs() -> list[Any]:
    """Methods and what they work on: an adapter replaces the embedding block of an encoder."""
    return [(name, kind) for name in MODEL_METHODS for kind in ARCHITECTURES if name in TABLES or kind == "encoder"]


def test_all_methods_are_here(conf: Path) -> None:
    assert METHODS.keys() == {path.stem for path in (conf / "factorization").glob("*.yaml")} - {"auto"}


@pytest.mark.parametrize(("name", "architecture"), pairs())
def test_it_runs_trains_and_comes_back_from_the_files(name: str, architecture: str, tmp_path: Path) -> None:
    model = compressed(name, architecture)
    before = output(model)
    assert before.isfinite().all()

    loss(model).backward()
    trained = [parameter for parameter in model.get_input_embeddings().parameters() if parameter.requires_grad]
    assert any(parameter.grad.abs().sum() > 0 for parameter in trained)
    torch.optim.SGD(trained, lr=1.0).step()
    after = output(model)
    assert after.isfinite().all()
    assert not torch.equal(after, before)

    save(model, None, tmp_path / "saved")
    torch.testing.assert_close(output(load_model(tmp_path / "saved")), after, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", MODEL_METHODS)
def test_transformers_alone_gives_the_same_model_or_names_the_command(name: str, tmp_path: Path) -> None:
    model = compressed(name, "decoder" if name in TABLES else "encoder")
    own_save(model)
    model.save_pretrained(tmp_path / "own")
    save(model, None, tmp_path / "saved")
    for directory in (tmp_path / "own", tmp_path / "saved"):
        if name == "none":
            assert torch.equal(output(type(model).from_pretrained(directory)), output(model))
        else:
            with pytest.raises(ValueError, match=r"embfact\.from_pretrained.*trust_remote_code=True"):
                type(model).from_pretrained(directory, ignore_mismatched_sizes=True)
            torch.testing.assert_close(output(load_model(directory)), output(model), atol=1e-6, rtol=0)


@pytest.mark.parametrize("storage", STORAGES, ids=str)
@pytest.mark.parametrize("name", MODEL_METHODS)
def test_what_is_saved_has_the_size_of_the_formula(name: str, storage: Storage, tmp_path: Path) -> None:
    model = compressed(name, "encoder", storage)
    names, size = embedding_tensors(model), METHODS[name].size(V, H, rank_of(name), storage)
    save(model, None, tmp_path / "saved")

    found = model_size(model, names)
    assert saved_bytes(tmp_path / "saved" / WEIGHTS, names) == found.bytes
    if name in AT_MOST:
        assert found.parameters <= size.parameters
        assert found.bytes <= size.bytes
    else:
        assert found == size
    loaded = load_model(tmp_path / "saved")
    assert model_size(loaded, embedding_tensors(loaded)) == found
    torch.testing.assert_close(output(loaded), output(model), atol=1e-6, rtol=0)


@pytest.mark.parametrize("storage", QUANTIZED, ids=str)
@pytest.mark.parametrize("name", TABLES)
def test_a_stored_embedding_stays_tied(name: str, storage: Storage, tmp_path: Path) -> None:
    model = compressed(name, "decoder", storage)
    embedding, hidden = model.get_input_embeddings(), torch.randn(2, 3, H)
    expected = hidden @ embedding.dense().T
    torch.testing.assert_close(model.lm_head(hidden), expected, atol=1e-5, rtol=1e-4)
    save(model, None, tmp_path / "saved")
    loaded = load_model(tmp_path / "saved")
    torch.testing.assert_close(loaded.lm_head(hidden), expected, atol=1e-5, rtol=1e-4)
    assert saved_bytes(tmp_path / "saved" / WEIGHTS) == model_size(loaded).bytes


@pytest.mark.parametrize("architecture", ["decoder", "both"])
@pytest.mark.parametrize("name", sorted(MODEL_METHODS.keys() - set(TABLES)))
def test_an_adapter_of_encoders_is_refused_elsewhere_in_words(name: str, architecture: str) -> None:
    model = build(architecture)
    before = output(model)
    with pytest.raises(ModelError, match="tied"):
        compress(model, METHODS[name], rank_of(name), evidence=evidence())
    assert torch.equal(output(model), before)


@pytest.mark.parametrize("name", sorted(METHODS.keys() - MODEL_METHODS.keys()))
def test_a_method_that_changes_the_tokenizer_is_refused_and_leaves_the_model_as_it_was(name: str) -> None:
    model = build("encoder")
    before = output(model)
    with pytest.raises(ModelError, match="the tokenizer has to change too; use embfact trim"):
        compress(model, METHODS[name], 300, evidence=evidence())
    assert torch.equal(output(model), before)
