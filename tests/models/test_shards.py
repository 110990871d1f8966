"""Checkpoints in several files: read by the index, as transformers reads them, or refused in words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, PreTrainedModel

import embfact
from embfact.config.sections import ModelConfig
from embfact.errors import ModelError
from embfact.models.backbones import fingerprint
from embfact.models.checkpoint import load
from embfact.models.loading import load_backbone
from embfact.models.weight_files import INDEX, WEIGHTS, weight_files

OPTIONS = {"num_labels": 2, "label_names": None, "dropout": None, "seed": 0}
SMALL = "3KB"


@pytest.fixture
def dense(make_model: Callable[..., PreTrainedModel]) -> PreTrainedModel:
    return make_model("bert")


@pytest.fixture
def sharded(dense: PreTrainedModel, make_tokenizer: Any, tmp_path: Path) -> Path:
    """A dense checkpoint in several files, as transformers writes it."""
    dense.save_pretrained(tmp_path / "sharded", max_shard_size=SMALL)
    make_tokenizer().save_pretrained(tmp_path / "sharded")
    assert len(weight_files(tmp_path / "sharded")) > 3
    return tmp_path / "sharded"


def backbone(directory: Path) -> ModelConfig:
    return ModelConfig(name_or_path=str(directory))


def test_a_sharded_checkpoint_is_the_model_that_was_saved(
    sharded: Path, dense: PreTrainedModel, logits_of: Any
) -> None:
    expected = logits_of(dense)
    for model in (embfact.from_pretrained(sharded), load(sharded)[0], load_backbone(backbone(sharded), **OPTIONS)[0]):
        assert torch.equal(logits_of(model), expected)


def test_a_compressed_model_may_be_sharded_too(dense: PreTrainedModel, logits_of: Any, tmp_path: Path) -> None:
    embfact.compress(dense, "svd", rank=3, storage="int8")
    dense.save_pretrained(tmp_path / "small", max_shard_size=SMALL)
    assert not (tmp_path / "small" / WEIGHTS).exists()
    assert torch.equal(logits_of(embfact.from_pretrained(tmp_path / "small")), logits_of(dense))


def _whole(directory: Path, model: PreTrainedModel) -> None:
    model.save_pretrained(directory / "whole")
    shutil.move(directory / "whole" / WEIGHTS, directory / WEIGHTS)
    shutil.rmtree(directory / "whole")


def test_a_whole_file_wins_over_shards_of_an_older_model(
    sharded: Path, make_model: Callable[..., PreTrainedModel], logits_of: Any
) -> None:
    model = make_model("bert")
    torch.nn.init.normal_(model.classifier.weight)
    before = fingerprint(backbone(sharded))
    _whole(sharded, model)
    assert weight_files(sharded) == [sharded / WEIGHTS]
    plain = AutoModelForSequenceClassification.from_pretrained(sharded)
    for found in (embfact.from_pretrained(sharded), load_backbone(backbone(sharded), **OPTIONS)[0]):
        assert torch.equal(logits_of(found), logits_of(plain))
        assert torch.equal(logits_of(found), logits_of(model))
    here = fingerprint(backbone(sharded))
    assert here != before
    for path in sharded.glob("model-*"):  # what is not read decides nothing
        path.unlink()
    assert fingerprint(backbone(sharded)) == here


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "model.fp16.safetensors", "model0.safetensors"])
def test_a_stray_file_beside_the_whole_one_is_not_read(
    name: str, dense: PreTrainedModel, logits_of: Any, tmp_path: Path
) -> None:
    embfact.compress(dense, "svd", rank=3)
    embfact.save_pretrained(dense, tmp_path / "saved")
    before = fingerprint(backbone(tmp_path / "saved"))
    stray = {key: tensor * 2 for key, tensor in load_file(tmp_path / "saved" / WEIGHTS).items() if tensor.numel()}
    save_file(stray, tmp_path / "saved" / name, metadata={"format": "pt"})
    assert torch.equal(logits_of(embfact.from_pretrained(tmp_path / "saved")), logits_of(dense))
    assert fingerprint(backbone(tmp_path / "saved")) == before


def test_safetensors_win_over_a_pickle_beside_them(sharded: Path, dense: PreTrainedModel, logits_of: Any) -> None:
    torch.save({name: tensor * 2 for name, tensor in dense.state_dict().items()}, sharded / "pytorch_model.bin")
    plain = AutoModelForSequenceClassification.from_pretrained(sharded)
    assert torch.equal(logits_of(embfact.from_pretrained(sharded)), logits_of(plain))


def test_a_file_that_the_configuration_names_wins(sharded: Path, dense: PreTrainedModel, logits_of: Any) -> None:
    dense.classifier.bias.data += 1
    _whole(sharded, dense)
    (sharded / WEIGHTS).rename(sharded / "mine.safetensors")
    config = json.loads((sharded / "config.json").read_text()) | {"transformers_weights": "mine.safetensors"}
    (sharded / "config.json").write_text(json.dumps(config))
    plain = AutoModelForSequenceClassification.from_pretrained(sharded)
    assert torch.equal(logits_of(plain), logits_of(dense))
    assert torch.equal(logits_of(embfact.from_pretrained(sharded)), logits_of(dense))
    (sharded / "mine.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no mine\.safetensors, which its config\.json names"):
        embfact.from_pretrained(sharded)


def test_the_fingerprint_follows_every_shard(sharded: Path) -> None:
    before = fingerprint(backbone(sharded))
    for path in weight_files(sharded):
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        assert fingerprint(backbone(sharded)) != before, path.name
        path.write_bytes(content)
    assert fingerprint(backbone(sharded)) == before


def _index(directory: Path, **changes: Any) -> None:
    path = directory / INDEX
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a shard is missing": (lambda d: weight_files(d)[1].unlink(), r"lacks 1 of the \d+ files .*model-00002-of-"),
    "all shards are missing": (lambda d: [path.unlink() for path in weight_files(d)], r"lacks (\d+) of the \1 files"),
    "a shard was cut short": (lambda d: weight_files(d)[1].write_bytes(b"cut"), r"model-00002-of-\d+|cannot be loaded"),
    "the index was cut short": (lambda d: (d / INDEX).write_text("{"), "index.json cannot be read"),
    "the index is a list": (lambda d: (d / INDEX).write_text("[]"), "index.json does not hold a JSON object"),
    "the index names nothing": (lambda d: _index(d, weight_map={}), "names no files of weights"),
    "the index names no files": (lambda d: _index(d, weight_map={"a": 3}), "names no files of weights"),
    "the index leads outside": (lambda d: _index(d, weight_map={"a": "../b.safetensors"}), "names no files of weights"),
    "the index is missing": (lambda d: (d / INDEX).unlink(), r"has no model\.safetensors"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_incomplete_checkpoint_is_refused_in_words(damage: str, sharded: Path) -> None:
    spoil, words = DAMAGE[damage]
    spoil(sharded)
    for read in (embfact.from_pretrained, lambda d: load_backbone(backbone(d), **OPTIONS)):
        with pytest.raises(ModelError, match=words):
            read(sharded)
