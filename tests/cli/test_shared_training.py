"""Runs that differ only in how the table is stored share a training, and end with the bits of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import Any

import pyarrow.parquet as pq
import pytest

from embfact.runs.record import RunRecord, read

SWEEP = ["factorization=none,svd", "rank=8", "storage=float32,int8", "-m"]
Runs = dict[tuple[str, str], tuple[Path, RunRecord]]


def runs_of(folder: Path) -> Runs:
    found = {path.parent: read(path.parent) for path in folder.rglob("record.json")}
    return {(record.method.name, record.method.storage): (path, record) for path, record in found.items()}


@pytest.fixture(scope="module")
def sweep(train: Any, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """A sweep over storages in a folder of its own, or again in an earlier one."""

    def call(*words: str, folder: Path | None = None) -> tuple[Path, Any]:
        folder = folder or tmp_path_factory.mktemp("storages")
        command = [*SWEEP, *tiny, "checkpoint=best", "trainer.threads=1", "output_dir=runs", *words]
        return folder, train(*command, cwd=folder)

    return call


@pytest.fixture(scope="module")
def together(sweep: Any) -> Path:
    """Four runs, of which two were trained."""
    folder, answer = sweep()
    assert answer.code == 0
    return folder


@pytest.fixture(scope="module")
def alone(sweep: Any) -> Path:
    """The same runs without those in float32."""
    folder, answer = sweep("storage=int8", "baseline=false")
    assert answer.code == 0
    return folder


def test_only_those_in_float32_are_trained(together: Path, alone: Path) -> None:
    runs = runs_of(together)
    assert len(runs) == 4
    for (method, storage), (_, record) in runs.items():
        whole = runs[method, "float32"][1].name
        assert record.training is not None
        assert record.training.shared_with == (None if storage == "float32" else whole)
    assert {record.training.shared_with for _, record in runs_of(alone).values()} == {None}  # type: ignore[union-attr]


def test_the_results_are_those_of_a_training_of_their_own(together: Path, alone: Path) -> None:
    shared, own = runs_of(together), runs_of(alone)
    assert len(own) == 2
    for key, (path, record) in own.items():
        other, same = shared[key]
        for name in ("predictions.parquet", "metrics.csv"):
            assert (path / name).read_bytes() == (other / name).read_bytes(), (key, name)
        weights = "checkpoint/model.safetensors"
        assert (path / weights).read_bytes() == (other / weights).read_bytes(), key
        differ = {"training", "seconds", "started", "peak_memory_bytes", "config", "experiment"}
        assert record.model_dump(exclude=differ) == same.model_dump(exclude=differ)
        assert record.training is not None
        assert same.training is not None
        assert record.training.model_dump(exclude={"shared_with"}) == same.training.model_dump(exclude={"shared_with"})


def test_the_seconds_of_the_training_count_for_both(together: Path) -> None:
    runs = runs_of(together)
    for (method, storage), (_, record) in runs.items():
        trained = runs[method, "float32"][1].seconds.training
        assert record.seconds.training >= trained > 0
        assert record.seconds.total >= record.seconds.training, storage


@pytest.mark.parametrize(
    "words", [["quantization=aware"], ["rank=null", "budget=0.1"], ["profile=true"], ["force=true"]], ids=str
)
def test_what_the_storage_decides_is_trained(words: list[str], sweep: Any) -> None:
    given = ["factorization=svd", "storage=float32", "baseline=false"]
    folder, _ = sweep(*given, *(word for word in words if "null" in word or "budget" in word))
    _, answer = sweep(*given[:1], "storage=int8", "baseline=false", *words, folder=folder)
    assert answer.code == 0
    record = runs_of(folder)["svd", "int8"][1]
    assert record.training is not None
    assert record.training.shared_with is None


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_without_whole_weights_it_is_trained(damage: str, sweep: Any) -> None:
    folder, _ = sweep("factorization=svd", "storage=float32", "baseline=false")
    weights = runs_of(folder)["svd", "float32"][0] / "checkpoint"
    if damage == "missing":
        rmtree(weights)
    else:
        content = (weights / "model.safetensors").read_bytes()
        (weights / "model.safetensors").write_bytes(content[: len(content) // 2])
    _, answer = sweep("factorization=svd", "storage=int8", "baseline=false", folder=folder)
    assert answer.code == 0
    assert runs_of(folder)["svd", "int8"][1].training.shared_with is None  # type: ignore[union-attr]


def test_a_dropped_vocabulary_is_dropped_once(train: Any, tmp_path: Path, tiny: list[str]) -> None:
    words = ["factorization=vocabulary_trimming", "rank=4000", *tiny, "model=minilm", "baseline=false", "-m"]
    for folder, storages in (("together", "float32,int8"), ("alone", "int8")):
        assert train(*words, f"storage={storages}", f"output_dir={folder}", cwd=tmp_path).code == 0
    shared, own = (runs_of(tmp_path / name)["vocabulary_trimming", "int8"] for name in ("together", "alone"))
    assert shared[1].training.shared_with  # type: ignore[union-attr]
    tables = [pq.read_table(path / "predictions.parquet") for path, _ in (shared, own)]
    assert tables[0].equals(tables[1])
    assert shared[1].size == own[1].size
