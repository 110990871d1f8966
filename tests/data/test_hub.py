"""The hub is asked for the right data set at a fixed commit, and its rows come through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest

from embfact.data.text import load_split, load_text
from embfact.errors import DataError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SPLITS: dict[str, dict[str, list[Any]]] = {
    "train": {"premise": ["a", "b", "c", "d"], "hypothesis": ["w", "x", "y", "z"], "label": [0, 1, 0, 1]},
    "validation_matched": {"premise": ["e"], "hypothesis": ["v"], "label": [1]},
    "test_matched": {"premise": ["f", "g"], "hypothesis": ["t", "u"], "label": [-1, -1]},
}


@pytest.fixture
def data(config: Any) -> Any:
    return config(
        source="hub",
        hub="nyu-mll/glue",
        hub_config="mnli",
        revision=COMMIT,
        mirror="glue/mnli",
        text=["premise", "hypothesis"],
        label_names=["no", "yes"],
        report_splits=["validation_matched"],
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replaces the hub by small data sets in memory; gives what it was asked for."""
    calls: list[Any] = []

    def load(name: str, configuration: str | None, *, revision: str, split: str) -> datasets.Dataset:
        calls.append((name, configuration, revision, split))
        names = datasets.ClassLabel(names=["no", "yes"])
        rows = datasets.Dataset.from_dict(SPLITS[split] | {"idx": list(range(len(SPLITS[split]["label"])))})
        return rows.cast_column("label", names)

    monkeypatch.setattr(datasets, "load_dataset", load)
    return calls


def test_id_configuration_and_commit_are_passed_for_each_split(data: Any, asked: list[Any]) -> None:
    load_text(data, None)
    assert asked == [("nyu-mll/glue", "mnli", COMMIT, split) for split in ("train", "validation_matched")]


def test_rows_come_through(data: Any, asked: list[Any]) -> None:
    loaded = load_text(data, None)
    assert loaded.train.to_pydict() == {
        "id": [0, 1, 2, 3],
        "text": ["a", "b", "c", "d"],
        "text_pair": ["w", "x", "y", "z"],
        "label": [0, 1, 0, 1],
    }
    assert loaded.reports["validation_matched"].column("label").to_pylist() == [1]
    assert loaded.label_names == ("no", "yes")
    assert loaded.origin == f"hub data set nyu-mll/glue (mnli) at commit {COMMIT}"


def test_a_hidden_test_split_has_null_labels(data: Any, asked: list[Any]) -> None:
    rows = load_split(data, None, "test_matched")
    assert rows.column("text").to_pylist() == ["f", "g"]
    assert rows.column("label").to_pylist() == [None, None]
    assert asked == [("nyu-mll/glue", "mnli", COMMIT, "test_matched")]


def test_a_shuffled_or_selected_data_set_keeps_its_rows(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = datasets.Dataset.from_dict(SPLITS["train"])
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: whole.select([3, 1]))
    assert load_split(data, None, "train").column("text").to_pylist() == ["d", "b"]


def test_a_column_the_hub_does_not_have_is_named(data: Any, asked: list[Any]) -> None:
    wrong = data.model_copy(update={"text": ["premises", "hypothesis"]})
    with pytest.raises(DataError, match="nyu-mll/glue mnli, split train has no column 'premises'; did you mean"):
        load_text(wrong, None)


@pytest.mark.parametrize(
    "error",
    [ConnectionError("no route"), ValueError("Unknown split"), datasets.exceptions.DatasetNotFoundError("gone")],
)
def test_what_the_hub_refuses_is_told_in_words(data: Any, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=rf"nyu-mll/glue .*{error}.*EMBFACT_DATA_DIR .*glue/mnli/train.parquet"):
        load_text(data, None)


def test_another_commit_in_the_cache_is_not_taken_for_the_asked_one(
    data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("b" * 40)
    datasets.Dataset.from_dict(SPLITS["train"]).save_to_disk(str(folder))
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.load_from_disk(str(folder)))
    with pytest.raises(DataError, match=f"the cache holds commit {'b' * 40}, not {COMMIT}"):
        load_text(data, None)
