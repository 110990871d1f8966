from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants
from transformers import AutoConfig

from embfact.config.sections import ModelConfig
from embfact.errors import ModelError
from embfact.models import backbones
from embfact.models.backbones import TableShape, fingerprint, hub_commit, read_config, resolve, table_shape
from embfact.models.loading import load_backbone

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty hub cache, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub_commit.cache_clear()
    yield tmp_path / "hub"
    hub_commit.cache_clear()


@pytest.fixture
def downloaded(hub_cache, checkpoint):
    """The hub id of a tiny BERT that lies in the hub cache."""
    repo = hub_cache / "models--someone--tiny"
    shutil.copytree(checkpoint("bert"), repo / "snapshots" / COMMIT)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    return "someone/tiny"


def scratch(**architecture) -> ModelConfig:
    return ModelConfig(name="s", architecture={"model_type": "bert", **architecture}, tokenizer="packaged:minilm")


def test_the_packaged_model_is_a_directory_with_weights():
    assert (resolve("packaged:minilm") / "model.safetensors").is_file()


def test_a_directory_is_a_path_and_anything_else_a_hub_id(tmp_path):
    assert resolve(str(tmp_path)) == tmp_path
    assert resolve("google-bert/bert-base-uncased") == "google-bert/bert-base-uncased"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("packaged:minlm", "did you mean 'minilm'"),
        ("packaged:absent", "pip install no-such-package"),
        ("/no/such/directory", "there is no directory"),
        ("./here", "there is no directory"),
        (__file__, "is a file; give the directory"),
    ],
)
def test_what_can_be_no_model_is_refused_with_the_remedy(name, words, monkeypatch):
    monkeypatch.setitem(backbones.PACKAGED, "absent", ("no_such_package", "model"))
    with pytest.raises(ModelError, match=words):
        resolve(name)


def test_the_shape_of_the_table_is_that_of_the_loaded_model(kind, backbone):
    config = backbone(kind)
    model, _ = load_backbone(config, num_labels=2, label_names=None, dropout=None, seed=0)
    table = model.get_input_embeddings()
    shape = table_shape(config)
    assert shape == TableShape(table.num_embeddings, table.embedding_dim, model.config.hidden_size)
    assert shape.already_factorized == (kind in ("electra", "albert"))


@pytest.mark.parametrize("kind", ["mobilebert", "rembert"])
def test_other_backbones_that_are_factorized_by_birth_are_known(kind, tmp_path):
    AutoConfig.for_model(kind).save_pretrained(tmp_path)
    assert table_shape(ModelConfig(name_or_path=str(tmp_path))).already_factorized


def test_a_model_from_scratch_has_a_row_for_every_token_of_its_tokenizer():
    assert table_shape(scratch(hidden_size=128)) == TableShape(30522, 128, 128)
    assert table_shape(scratch(hidden_size=128, vocab_size=40000)) == TableShape(40000, 128, 128)


def test_a_hub_model_is_found_in_the_cache_without_a_network(downloaded):
    config = ModelConfig(name_or_path=downloaded)
    assert table_shape(config) == TableShape(60, 16, 16)
    assert hub_commit(downloaded, None) == COMMIT
    model, _ = load_backbone(config, num_labels=2, label_names=None, dropout=None, seed=0)
    assert model.config.vocab_size == 60


def test_a_hub_model_is_identified_by_its_commit(downloaded):
    pinned = ModelConfig(name_or_path=downloaded, revision=COMMIT)
    assert fingerprint(pinned) == fingerprint(ModelConfig(name_or_path=downloaded))
    assert fingerprint(pinned) != fingerprint(ModelConfig(name_or_path=downloaded, revision="f" * 40))


def test_a_hub_model_that_is_nowhere_has_no_shape_yet_and_no_fingerprint(hub_cache):
    absent = ModelConfig(name_or_path="someone/absent")
    assert read_config(absent) is None
    assert table_shape(absent) is None
    with pytest.raises(ModelError, match=r"someone/absent.*set model\.name_or_path to a directory"):
        fingerprint(absent)


def test_the_fingerprint_follows_the_content_and_not_the_place(backbone, tmp_path):
    config = backbone()
    here = Path(config.name_or_path)
    before = fingerprint(config)
    copy = shutil.copytree(here, tmp_path / "elsewhere")
    assert fingerprint(ModelConfig(name="other", name_or_path=str(copy))) == before
    (here / "README.md").write_text("no part of what the model computes")
    assert fingerprint(config) == before
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        content = (here / name).read_bytes()
        (here / name).write_bytes(content + b" ")
        assert fingerprint(config) != before, name
        (here / name).write_bytes(content)
    assert fingerprint(config) == before


def test_the_fingerprint_of_a_model_from_scratch_follows_its_architecture_and_tokenizer(checkpoint):
    one = scratch(hidden_size=128)
    assert fingerprint(one) == fingerprint(scratch(hidden_size=128))
    assert fingerprint(one) != fingerprint(scratch(hidden_size=64))
    assert fingerprint(one) != fingerprint(one.model_copy(update={"tokenizer": str(checkpoint())}))


@pytest.mark.parametrize("content", [None, "{cut", "[1]"])
def test_a_directory_without_a_readable_configuration_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    for read in (read_config, table_shape, fingerprint):
        with pytest.raises(ModelError, match=r"config\.json"):
            read(ModelConfig(name_or_path=str(tmp_path)))


def test_a_backbone_is_looked_at_without_importing_torch():
    code = (
        "import sys; from embfact.config.sections import ModelConfig; from embfact.models.backbones import *\n"
        "model = ModelConfig(name_or_path='packaged:minilm'); table_shape(model); fingerprint(model)\n"
        "import embfact.models.size\n"
        "print(sorted({'torch', 'transformers', 'safetensors', 'huggingface_hub', 'numpy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout.replace("'", '"')) == []


def test_a_run_that_is_started_from_is_the_backbone_whatever_the_configuration_names(backbone, tmp_path):
    config = backbone()
    run = tmp_path / "run"
    shutil.copytree(config.name_or_path, run / "checkpoint")
    (tmp_path / "bert" / "config.json").unlink()
    started = config.model_copy(update={"from_run": str(run)})
    assert table_shape(started) == TableShape(60, 16, 16)
    assert fingerprint(started) == fingerprint(ModelConfig(name_or_path=str(run / "checkpoint")))
    assert fingerprint(scratch(hidden_size=128).model_copy(update={"from_run": str(run)})) == fingerprint(started)
