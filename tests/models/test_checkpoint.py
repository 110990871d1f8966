from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from embfact.errors import ModelError
from embfact.factorization.albert import Albert
from embfact.factorization.none import Dense
from embfact.factorization.random import Random
from embfact.factorization.svd import SVD
from embfact.models.checkpoint import load, load_model, save
from embfact.models.compress import compress, embedding_tensors

METHODS = [(Dense(), None), (SVD(), 3), (Random(), 3), (Albert(), 3)]


@pytest.fixture
def saved(tmp_path, make_model, make_tokenizer):
    """A directory with a BERT compressed to rank 3."""
    model = make_model("bert")
    compress(model, SVD(), rank=3)
    save(model, make_tokenizer(), tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize(("method", "rank"), METHODS, ids=lambda value: getattr(value, "name", ""))
def test_a_loaded_model_gives_the_logits_of_the_saved_one(
    method, rank, dense_kind, make_model, make_tokenizer, logits_of, tmp_path
):
    model = make_model(dense_kind, num_labels=3)
    compress(model, method, rank)
    save(model, make_tokenizer(), tmp_path / "saved")
    loaded, tokenizer = load(tmp_path / "saved")
    torch.testing.assert_close(logits_of(loaded), logits_of(model), atol=1e-6, rtol=0)
    assert embedding_tensors(loaded) == embedding_tensors(model)
    assert tokenizer("w1 w2 nonsense")["input_ids"] == make_tokenizer()("w1 w2 nonsense")["input_ids"]
    assert not loaded.training


@pytest.mark.parametrize("kind", ["electra", "albert"])
def test_a_backbone_that_is_factorized_by_birth_comes_back_too(kind, make_model, make_tokenizer, logits_of, tmp_path):
    model = make_model(kind)
    compress(model, Dense(), rank=None)
    save(model, make_tokenizer(), tmp_path / "saved")
    torch.testing.assert_close(logits_of(load(tmp_path / "saved")[0]), logits_of(model), atol=1e-6, rtol=0)


def test_a_loaded_model_trains(saved):
    model, _ = load(saved)
    model.train()(input_ids=torch.tensor([[2, 10, 3]]), labels=torch.tensor([1])).loss.backward()
    assert all(parameter.grad is not None for name, parameter in model.named_parameters() if "embeddings" in name)


def test_a_dense_model_is_read_by_plain_transformers(make_model, make_tokenizer, logits_of, tmp_path):
    model = make_model("bert")
    compress(model, Dense(), rank=None)
    save(model, make_tokenizer(), tmp_path / "saved")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert torch.equal(logits_of(plain), logits_of(model))


def test_each_tensor_keeps_its_dtype(make_model, make_tokenizer, tmp_path):
    model = make_model("bert")
    compress(model, SVD(), rank=3)
    model.get_input_embeddings().half()
    save(model, make_tokenizer(), tmp_path / "saved")
    loaded, _ = load(tmp_path / "saved")
    assert {name: t.dtype for name, t in loaded.state_dict().items()} == {
        name: t.dtype for name, t in model.state_dict().items()
    }
    assert loaded.get_input_embeddings()(torch.tensor([3])).dtype == torch.float16


def test_loading_does_not_move_the_callers_random_numbers(saved):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    load(saved)
    assert torch.equal(torch.rand(4), expected)


def test_saving_again_replaces_the_older_model_and_leaves_nothing_beside_it(
    saved, make_model, make_tokenizer, logits_of
):
    (saved / "vocab.txt").write_text("of the older one")
    model = make_model("bert", num_labels=4)
    compress(model, Random(), rank=2)
    save(model, make_tokenizer(), saved)
    assert torch.equal(logits_of(load(saved)[0]), logits_of(model))
    assert not (saved / "vocab.txt").exists()
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]


def test_an_older_model_stays_if_the_new_one_cannot_take_its_place(saved, make_model, logits_of, monkeypatch):
    before, rename = logits_of(load(saved)[0]), Path.rename

    def fail(self, target):
        if self.name == "new":
            raise OSError("no permission")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="no permission"):
        save(make_model("bert"), None, saved)
    assert torch.equal(logits_of(load(saved)[0]), before)
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]


def test_a_part_of_a_compressed_model_can_be_saved_alone(saved, tmp_path):
    model = load_model(saved)
    save(model.base_model, None, tmp_path / "part")
    part, ids = load_model(tmp_path / "part"), torch.tensor([[2, 10, 3]])
    assert type(part) is type(model.base_model)
    torch.testing.assert_close(part(ids)[0], model.base_model(ids)[0], atol=1e-6, rtol=0)


def test_a_blueprint_from_before_places_were_recorded_is_read(saved, logits_of, tmp_path):
    before = logits_of(load_model(saved))
    blueprint = json.loads((saved / "config.json").read_text())["embfact"]
    _edit_config(saved, embfact={key: blueprint[key] for key in ("version", "method", "rank", "embedding")})
    model = load_model(saved)
    assert torch.equal(logits_of(model), before)
    save(model, None, tmp_path / "again")
    assert torch.equal(logits_of(load_model(tmp_path / "again")), before)


def test_a_failed_save_leaves_the_older_model_as_it_was(saved, make_model, logits_of):
    before = logits_of(load(saved)[0])

    class Broken:
        def save_pretrained(self, directory):
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        save(make_model("bert"), Broken(), saved)
    assert torch.equal(logits_of(load(saved)[0]), before)
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]


def _edit_config(directory, **changes):
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _edit_weights(directory, edit):
    state = load_file(directory / "model.safetensors")
    edit(state)
    save_file(state, directory / "model.safetensors", metadata={"format": "pt"})


def _cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


DAMAGE = {
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "has no model.safetensors"),
    "pickle": (lambda d: (d / "model.safetensors").rename(d / "pytorch_model.bin"), "a pickle"),
    "cut weights": (lambda d: _cut(d / "model.safetensors", 0.9), "damaged or truncated"),
    "cut header": (lambda d: _cut(d / "model.safetensors", 0.01), "damaged or truncated"),
    "empty weights": (lambda d: (d / "model.safetensors").write_bytes(b""), "damaged or truncated"),
    "no config": (lambda d: (d / "config.json").unlink(), "cannot be loaded"),
    "cut config": (lambda d: _cut(d / "config.json", 0.5), "cannot be loaded"),
    "no tokenizer": (
        lambda d: [(d / n).unlink() for n in ("tokenizer.json", "tokenizer_config.json")],
        "has no tokenizer files",
    ),
    "cut tokenizer": (lambda d: _cut(d / "tokenizer.json", 0.5), "cannot be loaded"),
    "other rank": (
        lambda d: _edit_weights(d, lambda s: s.update({k: v[:2] for k, v in s.items() if "projection" in k})),
        "does not fit its config.json",
    ),
    "lost tensor": (lambda d: _edit_weights(d, lambda s: s.pop("classifier.bias")), "lacks 1 weights"),
    "extra tensor": (lambda d: _edit_weights(d, lambda s: s.update(more=torch.zeros(2))), "has no place for 1 weights"),
    "blueprint is no object": (lambda d: _edit_config(d, embfact=[]), "blueprint of version None"),
    "blueprint of the future": (lambda d: _edit_config(d, embfact={"version": 99}), "blueprint of version 99"),
    "blueprint is empty": (lambda d: _edit_config(d, embfact={"version": 1}), "blueprint in config.json is damaged"),
    "unknown embedding": (
        lambda d: _edit_config(d, embfact={"version": 1, "embedding": {"class": "no_rank"}}),
        "did you mean 'low_rank'",
    ),
    "adapter is no method": (
        lambda d: _edit_config(d, embfact={"version": 1, "rank": 3, "adapter": {"_target_": "os.path.join"}}),
        "not a factorization method",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_directory_is_refused_in_words(saved, damage):
    spoil, words = DAMAGE[damage]
    spoil(saved)
    with pytest.raises(ModelError, match=words):
        load(saved)


def test_a_directory_that_is_not_there_is_refused_in_words(tmp_path):
    with pytest.raises(ModelError, match="there is no directory"):
        load(tmp_path / "nowhere")


def test_saving_does_not_move_the_callers_random_numbers(make_model, tmp_path):
    model = make_model("bert")
    compress(model, SVD(), rank=3)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    save(model, None, tmp_path / "saved")
    assert torch.equal(torch.rand(4), expected)
