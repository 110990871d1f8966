"""refactorize= on the command line: dense at first, factors of rank r in the end, and a record that says when."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from embfact.runs.record import RunRecord, read

V, H = 30522, 128
WORDS = ["rank=8", "baseline=false", "output_dir=runs"]
# debug=fast trains on 96 rows: 3 steps of 32 an epoch.
EPOCHS = ["refactorize=every_epoch", "trainer.max_steps=null", "trainer.epochs=4"]


@pytest.fixture
def run(train: Any, tiny: list[str], tmp_path: Path) -> Callable[..., tuple[RunRecord, Path]]:
    def do(*words: str) -> tuple[RunRecord, Path]:
        answer = train(*tiny, *WORDS, *words, cwd=tmp_path)
        assert (answer.code, answer.err) == (0, "")
        (directory,) = tmp_path.glob("runs/*/")
        return read(directory), directory / "checkpoint"

    return do


def ranks(record: RunRecord) -> list[tuple[int, int]]:
    return [(projection.step, projection.rank) for projection in record.training.refactorize or []]


def test_the_record_says_when_the_table_had_which_rank(run: Callable[..., tuple[RunRecord, Path]]) -> None:
    record, checkpoint = run("factorization=weighted_svd", *EPOCHS, "checkpoint=best")
    assert ranks(record) == [(3, 32), (6, 8)]
    assert record.training.steps == 12
    assert record.method.rank == 8
    assert record.size.embedding.parameters == 8 * (V + H)
    table = {name: tensor.shape for name, tensor in load_file(checkpoint / "model.safetensors").items() if tensor.size}
    assert table["bert.embeddings.word_embeddings.factors.weight"] == (V, 8)
    assert table["bert.embeddings.word_embeddings.projection.weight"] == (8, H)
    assert "bert.embeddings.word_embeddings.weight" not in table
    assert json.loads((checkpoint / "config.json").read_text())["embfact"]["method"] == "weighted_svd"
    # The first epoch ended dense, the second with factors.
    assert [entry["epoch"] for entry in record.selection.history] == [0, 1, 2, 3]
    with_factors = [entry for entry in record.selection.history if entry["epoch"] >= 1]
    assert record.selection.best_epoch >= 1
    assert record.selection.value == min(entry["loss"] for entry in with_factors)


def test_factors_are_trained_as_they_will_be_stored(run: Callable[..., tuple[RunRecord, Path]]) -> None:
    words = ["refactorize=every_n_steps", "refactorize.steps=1", "refactorize.until=0.7"]
    record, checkpoint = run("factorization=svd", *words, "storage=int8", "quantization=aware")
    assert ranks(record) == [(1, 32), (2, 8)]
    assert record.method.quantization == "aware"
    # Codes, and three bytes (scale and zero point) for each group of 64: one in a row of factors, two in one of 128.
    assert record.size.embedding.bytes == (8 + 3) * V + 8 * (H + 2 * 3)
    assert any(name.endswith("factors.codes") for name in load_file(checkpoint / "model.safetensors"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "factorization=albert refactorize=every_epoch trainer.epochs=2",
            "which factorization=albert cannot; use svd, or set refactorize=never",
        ),
        ("factorization=none refactorize=every_epoch trainer.epochs=2", "a sweep adds the dense run by itself"),
        ("refactorize=every_epoch trainer.epochs=2 trainable=backbone", "use trainable=all or trainable=factors"),
        ("refactorize=every_epoch trainer.epochs=1", "no whole epoch within refactorize.until=0.5"),
        ("refactorize=every_n_steps refactorize.steps=9 trainer.max_steps=10", "lower refactorize.steps"),
        ("refactorize=every_n_steps refactorize.steps=null", "needs refactorize.steps=NUMBER"),
    ],
)
def test_what_cannot_be_projected_is_refused_at_once(
    words: str, told: str, train: Any, tiny: list[str], tmp_path: Path
) -> None:
    answer = train(*tiny, *words.split(), "seed=0,1", "-m", cwd=tmp_path)
    assert answer.code == 2, answer
    assert told in answer.err
    assert len(answer.err.splitlines()) <= 5
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_turns_out_too_short_fails_in_words(train: Any, tiny: list[str], tmp_path: Path) -> None:
    # Only the number of rows shows it: 3 steps an epoch, of which the second would be the first in time.
    words = ["refactorize=every_epoch", "trainer.epochs=4", "trainer.max_steps=4"]
    answer = train(*tiny, *WORDS, *words, cwd=tmp_path)
    assert answer.code == 1
    (directory,) = tmp_path.glob("runs/*/")
    record = read(directory)
    assert record.status == "failed"
    assert "no projection within the first 0.5 of 4 optimizer steps" in record.error.message
    assert not (directory / "checkpoint").exists()


def test_the_baseline_of_a_sweep_is_trained_without_it(train: Any, tiny: list[str], tmp_path: Path) -> None:
    words = ["factorization=svd", "rank=8", "refactorize=never,every_epoch", "trainer.epochs=2", "-m", "plan=true"]
    answer = train(*tiny, *words, cwd=tmp_path)
    assert answer.code == 0, answer
    lines = answer.out.splitlines()
    assert ["-none-" in line for line in lines[: lines.index("")]] == [True, False, False]
