"""A record is written whole, read back equal, and refused in words where it is not whole."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from embfact.errors import ModelError
from embfact.runs.record import RunRecord, SizePart, read, write


def changed(record, **changes):
    return RunRecord.model_validate(record.model_dump() | changes)


@pytest.mark.parametrize("error", [None, "out of memory"])
def test_what_is_written_is_read_back(make, tmp_path, error):
    record = make(error=error)
    path = write(record, tmp_path / "new" / "run")
    assert path == tmp_path / "new" / "run" / "record.json"
    assert read(path.parent) == record
    assert list(path.parent.iterdir()) == [path]  # no temporary file stays


def test_undefined_metrics_are_null_and_nan_is_never_written(make, tmp_path):
    history = [{"epoch": 0, "pearson": math.nan}, {"epoch": 1, "pearson": 0.5}]
    selection = {"rows": 9, "metric": "pearson", "best_epoch": 1, "value": 0.5, "history": history}
    record = changed(make(metrics={"validation": {"pearson": math.nan, "spearman": None}}), selection=selection)
    write(record, tmp_path)
    values = json.loads((tmp_path / "record.json").read_text(), parse_constant=pytest.fail)
    assert values["metrics"] == {"validation": {"pearson": None, "spearman": None}}
    assert values["selection"]["history"] == [{"epoch": 0, "pearson": None}, {"epoch": 1, "pearson": 0.5}]


def test_a_configuration_that_json_cannot_hold_leaves_the_old_record_alone(make, tmp_path):
    write(make(seed=1), tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        write(changed(make(seed=2), config={"lr": math.inf}), tmp_path)
    assert read(tmp_path).seed == 1


def test_a_failure_while_writing_leaves_the_old_record_and_nothing_else(make, tmp_path, monkeypatch):
    write(make(seed=1), tmp_path)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(make(seed=2), tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "record.json"]
    assert read(tmp_path).seed == 1


def test_sizes_are_taken_from_any_object_with_the_fields(make):
    amount = SimpleNamespace(parameters=10, bytes=40)
    size = SizePart.model_validate(
        {"embedding": amount, "model": amount, "dense": {"embedding": amount, "model": amount}}
    )
    assert size.dense.model.bytes == 40


@pytest.mark.parametrize("field", ["size", "metrics", "training"])
def test_a_finished_run_has_its_results(make, field):
    with pytest.raises(ValidationError, match=f"a finished run needs {field}"):
        changed(make(), **{field: {} if field == "metrics" else None})


def test_status_and_error_go_together(make):
    with pytest.raises(ValidationError, match="needs its error"):
        changed(make(), status="failed")
    with pytest.raises(ValidationError, match="has no error"):
        changed(make(), error={"type": "RuntimeError", "message": "no"})


def cut_off(text):
    return text[: len(text) // 2]


def of_the_future(text):
    return text.replace('"schema_version": 1', '"schema_version": 99')


def without_seed(text):
    values = json.loads(text)
    del values["seed"]
    return json.dumps(values)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut_off, "record.json .*not JSON.*train the run again"),
        (lambda text: "", "record.json .*not JSON"),
        (lambda text: "[1, 2]", "schema_version None.* reads 1"),
        (of_the_future, "schema_version 99.* reads 1; use the version"),
        (without_seed, r"not a valid record \(seed: Field required\)"),
        (lambda text: text.replace('"finished"', '"running"'), r"not a valid record \(status"),
    ],
)
def test_a_record_that_is_not_whole_is_refused_in_words(make, tmp_path, spoil, words):
    path = write(make(), tmp_path)
    path.write_text(spoil(path.read_text()))
    with pytest.raises(ModelError, match=words):
        read(tmp_path)


def test_bytes_that_are_not_text_are_refused_in_words(tmp_path):
    (tmp_path / "record.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="not JSON"):
        read(tmp_path)


def test_a_directory_without_a_record_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"no record\.json"):
        read(tmp_path)
