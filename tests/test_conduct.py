"""Runs that other processes are at are waited for; what they leave unfinished is done here."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embfact import conduct
from embfact.conduct import _wait
from embfact.launchers.outcome import Outcome
from embfact.lifecycle.interruption import Interrupted, interruptible
from embfact.lifecycle.status import LOCK
from embfact.records.record import CHECKPOINT, RunRecord, write
from embfact.sweep import PlannedRun
from tests.launchers.stand_in import planned
from tests.lifecycle.made_up import held_elsewhere
from tests.records.conftest import make_values


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conduct, "LOOK_EVERY", 0.02)


@pytest.fixture
def later() -> Iterator[Callable[..., None]]:
    """Have something happen in a moment."""
    timers: list[threading.Timer] = []

    def call(action: Callable[[], object], seconds: float = 0.3) -> None:
        timers.append(threading.Timer(seconds, action))
        timers[-1].start()

    yield call
    for timer in timers:
        timer.cancel()
        timer.join()


def place(run: PlannedRun) -> Path:
    assert run.identity is not None
    return run.identity.directory


def finish(run: PlannedRun, error: str | None = None, status: str = "finished") -> None:
    """What another process leaves of a run that has ended, whose weights were asked for."""
    assert run.identity is not None
    values = make_values(error=error) | {"hash": run.identity.hash, "name": run.identity.name, "status": status}
    (place(run) / CHECKPOINT).mkdir(parents=True)
    (place(run) / CHECKPOINT / "model.safetensors").write_text("")
    write(RunRecord.model_validate(values), place(run))


def busy(*runs: PlannedRun) -> dict[str, Outcome]:
    return {run.title: Outcome("busy") for run in runs}


def test_a_run_that_another_process_finishes_is_waited_for_and_not_done_again(
    tmp_path: Path, later: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = planned(tmp_path, "")
    outcomes = busy(run)
    with held_elsewhere(place(run) / LOCK) as process:

        def end() -> None:
            finish(run)
            process.kill()

        later(end)
        assert _wait([run], outcomes) == []
    assert outcomes[run.title].state == "finished"
    assert outcomes[run.title].record is not None
    assert capsys.readouterr().out == "waiting for 1 run that another process is at\n"


def test_a_run_that_diverged_elsewhere_would_diverge_here(tmp_path: Path) -> None:
    (run,) = planned(tmp_path, "")
    finish(run, error="the loss became nan at step 7", status="diverged")
    outcomes = busy(run)
    assert _wait([run], outcomes) == []
    assert (outcomes[run.title].state, outcomes[run.title].message) == ("diverged", "the loss became nan at step 7")


def test_a_run_whose_process_is_killed_is_done_here_at_once(tmp_path: Path, later: Callable[..., None]) -> None:
    """The others, which are still being done, are looked at again afterwards."""
    first, second, third = runs = planned(tmp_path, "", "", "")
    outcomes = busy(*runs)
    with held_elsewhere(place(first) / LOCK) as killed, held_elsewhere(place(second) / LOCK):
        finish(third)
        later(killed.kill)
        assert _wait(runs, outcomes) == [first, second]
    assert [outcomes[run.title].state for run in runs] == ["busy", "busy", "finished"]


@pytest.mark.parametrize("left", ["nothing", "failed"])
def test_a_run_that_was_left_unfinished_is_tried_here(left: str, tmp_path: Path) -> None:
    (run,) = planned(tmp_path, "")
    if left == "failed":
        finish(run, error="out of memory", status="failed")
    assert _wait([run], busy(run)) == [run]


def test_a_signal_ends_the_waiting(tmp_path: Path, later: Callable[..., None]) -> None:
    (run,) = planned(tmp_path, "")
    with held_elsewhere(place(run) / LOCK), interruptible():
        later(lambda: os.kill(os.getpid(), signal.SIGTERM), 0.1)
        began = time.monotonic()
        with pytest.raises(Interrupted):
            _wait([run], busy(run))
        assert time.monotonic() - began < 3


def test_where_nobody_is_busy_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert _wait([], {}) == []
    assert capsys.readouterr().out == ""
