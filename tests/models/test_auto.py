"""A saved model through the Auto classes of transformers, which stay as they are for all other models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertModel,
    PreTrainedModel,
)

from embfact.embeddings.layout import FLOAT32, Storage
from embfact.errors import ModelError
from embfact.factorization.albert import Albert
from embfact.factorization.base import Method
from embfact.factorization.svd import SVD
from embfact.models.auto_map import MODULE, TASKS
from embfact.models.checkpoint import load_model, save
from embfact.models.compress import compress
from embfact.models.heads import TiedHead
from embfact.models.storage import store
from tests.helpers.zoo import IDS, Specimen, output

BERT = Specimen("bert", "BertForSequenceClassification")
TRUST = {"trust_remote_code": True}


@pytest.fixture(autouse=True)
def _own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers copies the code of a directory into a cache, and that is not the user's here."""
    for module in ("transformers.dynamic_module_utils", "transformers.utils.hub"):
        monkeypatch.setattr(f"{module}.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])


def saved(
    specimen: Specimen, directory: Path, method: Method | None = None, storage: Storage = FLOAT32
) -> PreTrainedModel:
    model = specimen.build()
    compress(model, method or SVD(), rank=3)
    store(model, storage)
    save(model, None, directory)
    return model


@pytest.mark.parametrize("storage", [FLOAT32, Storage("int8")], ids=str)
@pytest.mark.parametrize(
    ("auto", "specimen"),
    [
        (AutoModel, Specimen("bert", "BertModel")),
        (AutoModelForSequenceClassification, BERT),
        (AutoModelForMaskedLM, Specimen("modernbert", "ModernBertForMaskedLM")),
        (AutoModelForCausalLM, Specimen("llama", "LlamaForCausalLM", options={"tie_word_embeddings": True})),
        (AutoModelForCausalLM, Specimen("gpt2", "GPT2LMHeadModel")),
        (AutoModelForSeq2SeqLM, Specimen("bart-scaled", "BartForConditionalGeneration")),
        (AutoModelForSeq2SeqLM, Specimen("t5", "T5ForConditionalGeneration")),
    ],
    ids=str,
)
def test_it_is_the_model_that_was_saved(auto: type, specimen: Specimen, storage: Storage, tmp_path: Path) -> None:
    model = saved(specimen, tmp_path / "saved.v1", storage=storage)
    shutil.move(tmp_path / "saved.v1", tmp_path / "moved-here")
    loaded = auto.from_pretrained(tmp_path / "moved-here", **TRUST)
    assert type(loaded) is type(model)
    assert not loaded.training
    torch.testing.assert_close(output(loaded), output(model), atol=1e-6, rtol=0)
    head = model.get_output_embeddings()
    assert isinstance(loaded.get_output_embeddings(), TiedHead) == isinstance(head, TiedHead)


def test_an_adapted_encoder_comes_back_too(tmp_path: Path) -> None:
    model = saved(BERT, tmp_path / "saved", Albert())
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved", **TRUST)
    torch.testing.assert_close(output(loaded), output(model), atol=1e-6, rtol=0)


def test_other_heads_share_the_backbone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = saved(BERT, tmp_path / "saved")
    base = AutoModel.from_pretrained(tmp_path / "saved", **TRUST)
    assert type(base) is BertModel
    assert torch.equal(output(base), output(model.bert))
    assert not caplog.messages

    masked = AutoModelForMaskedLM.from_pretrained(tmp_path / "saved", **TRUST)
    assert torch.equal(output(masked.bert), output(model.bert))
    assert masked.get_output_embeddings().embedding is masked.get_input_embeddings()
    assert "cls.predictions.bias" in caplog.text

    labels = {"num_labels": 7, "ignore_mismatched_sizes": True}
    tokens = AutoModelForTokenClassification.from_pretrained(tmp_path / "saved", **TRUST, **labels)
    assert output(tokens).shape == (3, 5, 7)
    with pytest.raises(ModelError, match=r"classifier\.\w+ of shape .* pass ignore_mismatched_sizes=True"):
        AutoModelForTokenClassification.from_pretrained(tmp_path / "saved", **TRUST, num_labels=7)


def test_a_head_is_put_on_a_saved_encoder(tmp_path: Path) -> None:
    model = saved(Specimen("bert", "BertModel"), tmp_path / "saved")
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved", **TRUST, num_labels=3)
    assert output(classifier).shape == (3, 3)
    assert torch.equal(output(classifier.bert), output(model))
    save(classifier, None, tmp_path / "again")
    assert torch.equal(output(load_model(tmp_path / "again")), output(classifier))


def test_dtype_and_device_are_heeded_and_other_options_refused(tmp_path: Path) -> None:
    saved(BERT, tmp_path / "saved")

    def load(**options: object) -> PreTrainedModel:
        return AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved", **TRUST, **options)

    assert load(dtype=torch.float64).dtype == torch.float64
    assert load(dtype="float16").dtype == torch.float16
    assert load(dtype="auto", device_map="cpu", use_safetensors=True).dtype == torch.float32
    with pytest.raises(ModelError, match="quantization_config has no effect on a compressed model"):
        load(quantization_config={"load_in_8bit": True})
    with pytest.raises(ModelError, match=r"device_map=auto cannot place .* \.to\(DEVICE\)"):
        load(device_map="auto")


def _registered() -> dict[str, dict[type, type]]:
    """What was added to the Auto classes since transformers was imported."""
    return {task: dict(getattr(transformers, task)._model_mapping._extra_content) for task in TASKS}


def test_plain_models_load_as_ever_afterwards(tmp_path: Path) -> None:
    saved(BERT, tmp_path / "saved")
    before = _registered()
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved", **TRUST)

    dense = BERT.build()
    dense.save_pretrained(tmp_path / "plain")
    for options in ({}, TRUST):
        plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "plain", **options)
        assert type(plain.get_input_embeddings()) is nn.Embedding
        assert torch.equal(output(plain), output(dense))
    assert _registered() == before


@pytest.mark.parametrize(
    ("specimen", "method"),
    [(BERT, SVD()), (BERT, Albert()), (Specimen("t5", "T5ForConditionalGeneration"), SVD())],
    ids=str,
)
def test_without_our_loader_the_directory_is_refused_and_no_table_drawn_at_random(
    specimen: Specimen, method: Method, tmp_path: Path
) -> None:
    model = saved(specimen, tmp_path / "saved", method)
    for kind in (AutoModel, type(model)):
        for options in ({}, {"ignore_mismatched_sizes": True}):
            with pytest.raises(ValueError, match=r"embfact\.from_pretrained.*trust_remote_code=True"):
                kind.from_pretrained(tmp_path / "saved", **options)
    # Loaders that do not ask the configuration find a tensor of another size in the place of the table.
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    del config["transformers_weights"]
    (tmp_path / "saved" / "config.json").write_text(json.dumps(config))
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        type(model).from_pretrained(tmp_path / "saved")


def test_our_own_loading_never_runs_the_file(tmp_path: Path) -> None:
    model = saved(BERT, tmp_path / "saved")
    (tmp_path / "saved" / f"{MODULE}.py").write_text("raise SystemExit('run')")
    assert torch.equal(output(load_model(tmp_path / "saved")), output(model))
    (tmp_path / "saved" / f"{MODULE}.py").unlink()
    loaded = load_model(tmp_path / "saved")
    assert torch.equal(output(loaded), output(model))
    assert not {"auto_map", "transformers_weights"} & vars(loaded.config).keys()


def test_only_auto_classes_of_the_backbone_are_named(tmp_path: Path) -> None:
    saved(BERT, tmp_path / "saved")
    named = json.loads((tmp_path / "saved" / "config.json").read_text())["auto_map"]
    assert named["AutoModel"] == f"{MODULE}.AutoModel"
    assert "AutoModelForSeq2SeqLM" not in named
    assert AutoConfig.from_pretrained(tmp_path / "saved").model_type == "bert"


def test_it_works_in_a_fresh_process(tmp_path: Path) -> None:
    model = saved(BERT, tmp_path / "saved")
    code = (
        "from transformers import AutoModelForSequenceClassification as Auto; import torch\n"
        f"ids = torch.tensor({IDS.tolist()})\n"
        "model = Auto.from_pretrained('saved', trust_remote_code=True)\n"
        "print(model(input_ids=ids, attention_mask=(ids != 0).long()).logits.tolist())"
    )
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    found = torch.tensor(json.loads(answer.stdout.splitlines()[-1]))
    torch.testing.assert_close(found, output(model), atol=1e-6, rtol=0)
