"""Token ids beyond the table are refused before anything starts, by every command; holes below it are none of ours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

WORDS = [f"w{number}" for number in range(40)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
ROWS, LARGEST = 60, 900
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
SHORT = ["factorization=svd", "rank=4", "trainer.max_steps=2", "logger=none", "data.selection_size=4"]
SHORT += ["trainer=cpu", "baseline=false", "checkpoint=last", "data.max_length=32", "trainer.batch_size=8"]


def tokenizer(last: int = LARGEST, *, types: bool = False, closing: int | None = None) -> PreTrainedTokenizerFast:
    """44 tokens with ids from 0, the last of them another; with token types, or another id around texts, if asked."""
    ids = {word: number for number, word in enumerate([*SPECIAL, *WORDS])} | {WORDS[-1]: last}
    backend = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    around = [("[CLS]", 2), ("[SEP]", 3 if closing is None else closing)]
    pair = "[CLS] $A [SEP] $B:1 [SEP]:1" if types else "[CLS] $A [SEP] $B [SEP]"
    backend.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair=pair, special_tokens=around)
    names = ["input_ids", *(["token_type_ids"] if types else []), "attention_mask"]
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=names, **special)


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Path]:
    """Saves a tiny model with random weights and a tokenizer beside it."""

    def save(words: PreTrainedTokenizerFast, kind: str = "bert", **changes: Any) -> Path:
        torch.manual_seed(0)
        sizes = {"vocab_size": ROWS, "pad_token_id": 0, "max_position_embeddings": 64} | SMALL | changes
        folder = tmp_path / kind
        transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind, **sizes)).save_pretrained(folder)
        words.save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    """Overrides for a few rows; none but the reported ones has the last word."""
    for name, word in (("train", WORDS[0]), ("valid", WORDS[-1])):
        rows = [f"{WORDS[row]} {word},{WORDS[row % 7]},{row % 2}\n" for row in range(20)]
        (tmp_path / f"{name}.csv").write_text("text,other,label\n" + "".join(rows))
    files = [f"data.train_file={tmp_path}/train.csv", f"data.validation_file={tmp_path}/valid.csv"]
    return ["data=files", *files, "data.label=label", f"output_dir={tmp_path}/runs"]


@pytest.fixture
def finished(train: Any, data: list[str], tmp_path: Path) -> Callable[..., Path]:
    """Trains, and gives the run directory."""

    def call(*words: str) -> Path:
        done = train(*data, "data.text=text", *SHORT, *words, cwd=tmp_path)
        assert done.code == 0, done.err
        (record,) = (tmp_path / "runs").glob("*/record.json")
        return record.parent

    return call


def told(error: str, largest: int = LARGEST, rows: int = ROWS) -> None:
    for fact in (f"ids up to {largest}", f"{rows} rows", "set model.tokenizer", f"give the table {largest + 1} rows"):
        assert fact in error, error
    assert "Traceback" not in error


def test_every_command_refuses_an_id_beyond_the_table(
    train: Any, run: Any, model: Any, data: list[str], tmp_path: Path
) -> None:
    words = [*data, "data.text=text", f"model.name_or_path={model(tokenizer())}", "factorization=svd", "rank=4"]
    for more in ([], ["plan=true"], ["seed=0,1", "-m"]):
        done = train(*words, *SHORT, *more, cwd=tmp_path)
        assert (done.code, done.out) == (2, "")
        told(done.err)
    rest = [word for word in words if not word.startswith("output_dir")]
    for script, more in (("factorize.py", []), ("analyze.py", [f"--output={tmp_path}/page"])):
        done = run(script, *rest, *more)
        assert (done.code, done.out) == (2, "")
        told(done.err)
    assert {path.name for path in tmp_path.iterdir()} <= {"bert", "train.csv", "valid.csv", "token_cache"}


@pytest.mark.parametrize(
    ("words", "largest"),
    [
        (tokenizer(43, closing=70), 70),
        (tokenizer(43), 43),
        (tokenizer(ROWS - 1), ROWS - 1),
        (tokenizer(ROWS), ROWS),
    ],
    ids=["around a text", "without holes", "the last row", "one beyond"],
)
def test_the_largest_id_decides(
    words: PreTrainedTokenizerFast, largest: int, train: Any, model: Any, data: list[str], tmp_path: Path
) -> None:
    place = model(words)
    done = train(*data, "data.text=text", f"model.name_or_path={place}", *SHORT, "plan=true", cwd=tmp_path)
    assert done.code == (2 if largest >= ROWS else 0)
    if largest >= ROWS:
        told(done.err, largest)


@pytest.mark.parametrize(("more", "added", "largest"), [(40, {}, 83), (0, {"[NEW]": 77}, 77)])
def test_older_files_of_a_tokenizer_are_read_too(
    more: int, added: dict[str, int], largest: int, train: Any, model: Any, data: list[str], tmp_path: Path
) -> None:
    place = model(tokenizer(43))
    (place / "tokenizer.json").unlink()
    (place / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS, *(f"x{number}" for number in range(more))]) + "\n")
    (place / "added_tokens.json").write_text(json.dumps(added))
    (place / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    done = train(*data, "data.text=text", *SHORT, f"model.name_or_path={place}", "plan=true", cwd=tmp_path)
    assert done.code == 2
    told(done.err, largest)


def test_a_longer_table_is_fine_with_holes(run: Any, finished: Any, model: Any, tmp_path: Path) -> None:
    place = finished(f"model.name_or_path={model(tokenizer(), vocab_size=LARGEST + 9)}")
    done = run("evaluate.py", place)
    assert (done.code, done.err) == (0, "")
    done = run("predict.py", place, "--text", f"{WORDS[-1]} w1")
    assert (done.code, done.err) == (0, "")
    done = run("analyze.py", place, f"--output={tmp_path}/page")
    assert done.code == 0, done.err


def test_a_model_with_random_weights_gets_a_row_for_the_largest_id(finished: Any, tmp_path: Path) -> None:
    tokenizer().save_pretrained(tmp_path / "words")
    sizes = ",".join(f"{name}:{size}" for name, size in {"model_type": "bert", **SMALL}.items())
    place = finished("model=bert_scratch", f"model.tokenizer={tmp_path}/words", f"model.architecture={{{sizes}}}")
    assert json.loads((place / "checkpoint" / "config.json").read_text())["vocab_size"] == LARGEST + 1


def test_a_tokenizer_of_another_model_is_refused_with_what_would_fit(
    train: Any, model: Any, data: list[str], tmp_path: Path
) -> None:
    words = [*data, "data.text=text", *SHORT, f"model.name_or_path={model(tokenizer(43))}"]
    done = train(*words, "model.tokenizer=packaged:minilm", "plan=true", cwd=tmp_path)
    assert done.code == 2
    told(done.err, 30521)
    tokenizer(50).save_pretrained(tmp_path / "other")
    assert train(*words, f"model.tokenizer={tmp_path}/other", "plan=true", cwd=tmp_path).code == 0
    scratch = ["model=bert_scratch", "+model.architecture.vocab_size=100"]
    done = train(*words[:-1], *scratch, "plan=true", cwd=tmp_path)
    assert done.code == 2
    told(done.err, 30521, 100)


@pytest.mark.parametrize("script", ["evaluate.py", "predict.py"])
def test_a_finished_run_with_another_tokenizer_is_refused(
    script: str, run: Any, finished: Any, model: Any, refused: Any
) -> None:
    place = finished(f"model.name_or_path={model(tokenizer(43))}")
    shutil.rmtree(place.parents[1] / "bert")
    tokenizer().save_pretrained(place / "checkpoint")
    done = run(script, place, *(["--text", "w1"] if script == "predict.py" else []))
    refused(done, f"ids up to {LARGEST}, but the table has the {ROWS} rows")


@pytest.mark.parametrize(("key", "kind"), [("pad_token_id", "bert"), ("decoder_start_token_id", "bart")])
def test_an_id_of_the_configuration_beyond_the_table_is_refused(
    key: str, kind: str, train: Any, model: Any, data: list[str], tmp_path: Path
) -> None:
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1} if kind == "bart" else {}
    place = model(tokenizer(43), kind, **sizes)
    path = place / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: ROWS}))
    done = train(*data, "data.text=text", *SHORT, f"model.name_or_path={place}", "plan=true", cwd=tmp_path)
    assert done.code == 2
    assert f"{key} of model {kind} is beyond the {ROWS} rows of its table (found {ROWS}); set it to one" in done.err


def test_token_types_that_a_model_does_not_have_end_no_run(
    train: Any, run: Any, model: Any, data: list[str], tmp_path: Path
) -> None:
    place = model(tokenizer(43), "roberta", type_vocab_size=1, max_position_embeddings=70)
    tokenizer(43, types=True).save_pretrained(tmp_path / "types")
    words = [*data, "data.text=[text,other]", *SHORT, f"model.name_or_path={place}"]
    done = train(*words, f"model.tokenizer={tmp_path}/types", cwd=tmp_path)
    assert done.code == 0, done.err
    (record,) = (tmp_path / "runs").glob("*/record.json")
    done = run("evaluate.py", record.parent)
    assert (done.code, done.err) == (0, "")
    trained = json.loads(record.read_text())["metrics"]["validation"]["accuracy"]
    assert f"{100 * trained:.2f}" in done.out


def test_a_decoder_that_knows_no_padding_takes_that_of_its_tokenizer(finished: Any, model: Any) -> None:
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "bos_token_id": 2, "eos_token_id": 3, "pad_token_id": None}
    place = finished(f"model.name_or_path={model(tokenizer(43), 'gpt2', **sizes)}")
    assert json.loads((place / "checkpoint" / "config.json").read_text())["pad_token_id"] == 0


def test_a_tokenizer_that_does_not_fit_is_not_saved_beside_a_model(model: Any, tmp_path: Path) -> None:
    import embfact

    small = embfact.compress(transformers.AutoModel.from_pretrained(model(tokenizer(43))), "svd", rank=4)
    with pytest.raises(ValueError, match=f"ids up to {LARGEST}, but the table has the {ROWS} rows"):
        embfact.save_pretrained(small, tmp_path / "small", tokenizer())
    assert not (tmp_path / "small").exists()
    embfact.save_pretrained(small, tmp_path / "small", tokenizer(ROWS - 1))
