"""Of a run whose process died it is said what is known, and nothing that another process says is touched."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from embfact.launchers.parallel import lost
from embfact.runs.planned import PlannedRun
from embfact.runs.record import RunRecord, write
from embfact.runs.status import LOCK, read_status
from embfact.system.lock import acquire
from tests.helpers.records import make_values
from tests.helpers.stand_in import planned, tell

HERE = os.getpid()


@pytest.fixture
def run(tmp_path: Path) -> PlannedRun:
    return planned(tmp_path, "")[0]


def place(run: PlannedRun) -> Path:
    assert run.identity is not None
    return run.identity.directory


@pytest.mark.parametrize(
    ("code", "words", "state", "message"),
    [
        (-signal.SIGKILL, "", "failed", "was killed by signal 9 (out of memory?)"),
        (-signal.SIGSEGV, "", "failed", "was killed by signal 11 (SIGSEGV)"),
        (1, "Traceback\nRuntimeError: ouch", "failed", "ended with exit code 1: RuntimeError: ouch"),
        (3, "", "failed", "ended with exit code 3"),
        (128 + signal.SIGTERM, "", "interrupted", "was ended by SIGTERM"),
    ],
)
def test_the_end_of_the_process_is_told_in_words(run: PlannedRun, code: int, words: str, state: str, message: str):
    tell(run)
    outcome = lost(run, HERE, code, words)
    assert outcome.state == state
    assert outcome.message == f"its process {message}; rerun the same command to resume it from its last checkpoint"
    status = read_status(place(run))
    assert status is not None
    assert (status.state, status.message, status.step) == (state, outcome.message, 3)
    log = (place(run) / "log.txt").read_text()
    assert outcome.message in log
    assert words in log


def test_a_run_that_had_not_begun_leaves_nothing(run: PlannedRun):
    assert lost(run, HERE, -9).state == "failed"
    assert not place(run).exists()


def test_a_run_of_another_process_is_left_alone(run: PlannedRun):
    tell(run, pid=HERE + 1)
    assert lost(run, HERE, -9).state == "failed"
    assert getattr(read_status(place(run)), "state", None) == "running"
    tell(run)
    lock = acquire(place(run) / LOCK)
    assert lock is not None
    with lock:
        lost(run, HERE, -9)
    assert getattr(read_status(place(run)), "state", None) == "running"


def test_a_run_that_had_ended_keeps_its_end(run: PlannedRun):
    tell(run, state="diverged", message="the loss is nan at step 3")
    outcome = lost(run, HERE, -9)
    assert (outcome.state, outcome.message) == ("diverged", "the loss is nan at step 3")

    record = RunRecord.model_validate(make_values())
    assert run.identity is not None
    finished = replace(run, identity=replace(run.identity, hash=record.hash))
    write(record, place(run))
    tell(finished, state="finished")
    assert lost(finished, HERE, -9).record == record
