"""What a run directory says of itself is held against what is true: locks, half files, older attempts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import embfact
from embfact.runs.survey import look, survey
from tests.helpers.run_directories import held_elsewhere, write_record, write_state


def state_of(directory):
    run = look(directory)
    assert run is not None
    return run.state


def make_older(path, seconds=60):
    os.utime(path, (time.time() - seconds,) * 2)


def test_runs_are_found_once_at_any_depth_by_name(tmp_path):
    write_record(tmp_path / "outputs" / "a" / "b" / "one")
    write_state(tmp_path / "outputs" / "two", "pending")
    runs = survey([tmp_path, tmp_path / "outputs", str(tmp_path / "outputs" / "two")])
    assert [run.directory for run in runs] == [tmp_path / "outputs" / "a" / "b" / "one", tmp_path / "outputs" / "two"]
    assert survey([tmp_path / "outputs" / "two"])[0].state == "pending"


def test_what_is_inside_a_run_or_hidden_is_no_run(tmp_path):
    run = write_record(tmp_path / "run")
    write_record(run / "checkpoint")
    write_record(tmp_path / ".run.pruned")
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [found.directory for found in survey([tmp_path])] == [run]


def test_a_record_of_an_older_embfact_needs_no_status(tmp_path):
    (run,) = survey([write_record(tmp_path / "run", metrics={"validation": {"accuracy": 0.875, "f1": 0.5}})])
    assert (run.state, run.metric, run.value, run.seconds, run.message) == ("finished", "accuracy", 87.5, 50.0, "")
    assert run.name.startswith("sst2-minilm-svd-r64")


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_run_that_ended_badly_says_why(tmp_path, status):
    run = look(write_record(tmp_path / "run", status, "loss is infinite at step 7"))
    assert (run.state, run.message, run.metric) == (status, "loss is infinite at step 7", "")


def test_an_undefined_metric_is_not_a_missing_one(tmp_path):
    run = look(write_record(tmp_path / "run", metrics={"test": {"mcc": None}}))
    assert (run.state, run.metric, run.value) == ("finished", "mcc", None)


def test_a_run_is_running_as_long_as_its_process_lives(tmp_path):
    run = write_state(tmp_path / "run", "running", phase="training", step=120, steps=400, seconds=33.0)
    with held_elsewhere(run / "run.lock"):
        found = look(run)
        assert (found.state, found.progress, found.seconds) == ("running", "training, step 120 of 400", 33.0)
        assert look(run, lock_is_ours=True).state == "interrupted"
    found = look(run)
    assert (found.state, found.progress) == ("interrupted", "training, step 120 of 400")
    assert "died" in found.message


def test_a_finished_run_stays_finished_unless_it_is_being_done_again(tmp_path):
    run = write_state(write_record(tmp_path / "run"), "running")
    with held_elsewhere(run / "run.lock"):
        assert state_of(run) == "running"
    assert state_of(run) == "finished"


@pytest.mark.parametrize("newer", ["running", "interrupted", "pending"])
def test_a_newer_attempt_counts_before_a_failed_one(tmp_path, newer):
    run = write_record(tmp_path / "run", "failed")
    make_older(run / "record.json")
    write_state(run, newer)
    assert state_of(run) == {"running": "interrupted"}.get(newer, newer)


def test_a_process_that_died_after_writing_its_record_has_failed_all_the_same(tmp_path):
    run = write_record(write_state(tmp_path / "run", "running", phase="recording"), "failed")
    make_older(run / "status.json")
    assert state_of(run) == "failed"


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("record.json", '{"schema_version": 1, "name": ', "record.json is truncated"),
        ("record.json", "", "record.json is truncated"),
        ("record.json", "[1]", "is not a JSON object"),
        ("record.json", '{"schema_version": 1, "status": "finished"}', "is invalid"),
        ("status.json", "{", "status.json is truncated"),
        ("status.json", '{"name": "x", "hash": "y", "state": "dreaming"}', "dreaming"),
        ("status.json", '{"name": 1, "state": "pending"}', "is invalid"),
    ],
)
def test_a_damaged_file_is_told_and_the_other_runs_are_listed(tmp_path, file, content, words):
    damaged, whole = tmp_path / "damaged", write_record(tmp_path / "whole")
    damaged.mkdir()
    (damaged / file).write_text(content)
    first, second = sorted(survey([tmp_path]), key=lambda run: run.place)
    assert (first.state, second.state, second.directory) == ("damaged", "finished", whole)
    assert words in first.message


def test_a_lost_or_foreign_record_is_damage(tmp_path):
    lost = look(write_state(tmp_path / "lost", "finished"))
    assert (lost.state, lost.hash) == ("damaged", "ab" * 32)
    assert "record.json is missing" in lost.message
    path = write_record(tmp_path / "foreign") / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))
    assert "schema_version 99" in look(path.parent).message


def test_a_damaged_status_beside_a_whole_record_is_no_loss(tmp_path):
    run = write_record(tmp_path / "run")
    (run / "status.json").write_text("")
    assert state_of(run) == "finished"


def test_no_run_is_none(tmp_path):
    (tmp_path / "file").write_text("")
    assert look(tmp_path) is look(tmp_path / "nowhere") is look(tmp_path / "file") is None
    assert survey([tmp_path]) == []


def test_a_survey_needs_no_torch():
    code = (
        "import sys, embfact.runs.survey, embfact.runs.listing, "
        "embfact.runs.prune, embfact.runs.tidy, embfact.sweep.retry; "
        "sys.exit(bool({'torch', 'hydra', 'fsspec', 'pyarrow'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(embfact.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
