"""Runs of `vocabulary_trimming`: a smaller tokenizer, rows that are encoded by it, and a dense table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from embfact.cli.evaluate import main as evaluate
from embfact.config.run_config import RunConfig
from embfact.data.text import load_text
from embfact.factorization.vocabulary_trimming import VocabularyTrimming
from embfact.models.backbones import resolve
from embfact.system.signals import Interrupted

K = 2600
SMALL = ["data=vader", "debug=fast", "trainer=cpu", "trainer.threads=1", "logger=none", "model=bert_scratch"]
SMALL += ["factorization=vocabulary_trimming", "checkpoint=last"]


@pytest.fixture(scope="module")
def trained(train: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("trimmed")
    done = train(*SMALL, f"rank={K}", cwd=folder)
    assert done.code == 0, done.err
    (path,) = folder.glob("outputs/**/record.json")
    return path.parent, json.loads(path.read_text())


def test_its_size_is_that_of_the_kept_rows_and_its_share_that_of_the_whole_table(trained: Any) -> None:
    run, record = trained
    table = load_file(run / "checkpoint" / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    size, width = record["size"], table.shape[1]
    assert table.shape[0] == K
    assert size["embedding"].items() >= {"parameters": K * width, "bytes": 4 * K * width}.items()
    assert VocabularyTrimming().size(30522, width, K).bytes == 4 * K * width
    assert size["dense"]["embedding"]["parameters"] == 30522 * width
    assert size["dense"]["model"]["parameters"] - size["model"]["parameters"] == (30522 - K) * width


def test_stock_code_gives_the_predictions_of_the_run(trained: Any) -> None:
    """Transformers alone, on the texts themselves: a rewritten tokenizer, and no map of ids."""
    run, record = trained
    tokenizer = AutoTokenizer.from_pretrained(run / "checkpoint")
    model = AutoModelForSequenceClassification.from_pretrained(run / "checkpoint").eval()
    assert len(tokenizer) == K == model.config.vocab_size
    config = RunConfig.parse(record["config"])
    texts = load_text(config.data, None, config.paths.cache_dir).reports["test"].column("text").to_pylist()
    batch = tokenizer(texts, truncation=True, max_length=config.data.max_length, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**batch).logits.numpy()
    predictions = pq.read_table(run / "predictions.parquet").column("logits").to_pylist()
    np.testing.assert_allclose(logits, predictions, atol=1e-5)


def test_the_most_frequent_tokens_of_the_training_rows_are_kept(trained: Any) -> None:
    run, record = trained
    config = RunConfig.parse(record["config"])
    rows = load_text(config.data, None, config.paths.cache_dir).train.column("text").to_pylist()
    whole = AutoTokenizer.from_pretrained(resolve("packaged:minilm"))
    trimmed = AutoTokenizer.from_pretrained(run / "checkpoint")
    # More tokens are kept than these rows have.
    assert [trimmed.tokenize(text) for text in rows] == [whole.tokenize(text) for text in rows]


def test_a_finished_run_is_scored_again_with_its_own_tokenizer(trained: Any, capsys: Any) -> None:
    run, record = trained
    assert evaluate([str(run)]) == 0
    assert f"{100 * record['metrics']['test']['accuracy']:.1f}" in capsys.readouterr().out


def test_a_run_that_was_stopped_before_its_scores_ends_as_the_others(
    trained: Any, train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only weights are saved by then: the rows are encoded by the tokenizer beside them."""

    def stop(*_: Any) -> None:
        raise Interrupted("stopped")

    run, record = trained
    with monkeypatch.context() as patch:
        patch.setattr("embfact.training.run.score_saved", stop)
        assert train(*SMALL, f"rank={K}", cwd=tmp_path).code not in (0, 2)
    (saved,) = tmp_path.glob("outputs/**/checkpoint/model.safetensors")
    trained_at = saved.stat().st_mtime_ns
    done = train(*SMALL, f"rank={K}", cwd=tmp_path)
    assert done.code == 0, done.err
    again = saved.parents[1]
    assert saved.stat().st_mtime_ns == trained_at
    assert pq.read_table(again / "predictions.parquet").equals(pq.read_table(run / "predictions.parquet"))
    assert json.loads((again / "record.json").read_text())["baselines"] == record["baselines"]


def test_a_sweep_compares_it_with_others_at_one_budget_and_stored_smaller(train: Any, tmp_path: Path) -> None:
    words = [word for word in SMALL if not word.startswith("factorization=")]
    methods = "factorization=vocabulary_trimming,vocabulary_pruning"
    done = train(*words, methods, "budget=0.1", "storage=float32,int8", "-m", cwd=tmp_path)
    assert done.code == 0, done.err
    found = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/**/record.json")]
    assert len(found) == 5  # with the dense run
    for record in found:
        if record["method"]["name"] == "vocabulary_trimming":
            assert record["size"]["embedding"]["bytes"] <= 0.1 * record["size"]["dense"]["embedding"]["bytes"]
    assert {record["method"]["name"] for record in found} == {"none", "vocabulary_trimming", "vocabulary_pruning"}


def test_a_rank_without_room_for_the_letters_fails_in_words(train: Any, tmp_path: Path) -> None:
    done = train(*SMALL, "rank=500", cwd=tmp_path)
    assert done.code == 1
    assert "1,999 tokens have to stay" in done.err + done.out
    assert "use rank=1999 or more" in done.err + done.out
    done = train(*SMALL, "rank=2600", "factorization.script=Klingonian", cwd=tmp_path)
    assert done.code == 2
    assert "there is no script 'Klingonian'" in done.err
