"""Runs that other processes are at are waited for; what they leave unfinished is done here."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from embfact.config.sections import CHECKPOINT
from embfact.runs.planned import Outcome, PlannedRun
from embfact.runs.record import RunRecord, write
from embfact.runs.status import LOCK
from embfact.sweep import report as sweep_report
from embfact.sweep.report import wait_for
from embfact.system.signals import Interrupted, interruptible
from tests.helpers.records import make_values
from tests.helpers.run_directories import held_elsewhere
from tests.helpers.stand_in import planned


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_report, "LOOK_EVERY", 0.02)


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


def finish(run: PlannedRun, status: str = "finished", error: str | None = None, begun: float = 1.0) -> None:
    """What another process leaves of a run that it began so many seconds after this sweep was planned."""
    assert run.identity is not None
    values = make_values(error=error) | {"hash": run.identity.hash, "name": run.identity.name, "status": status}
    values["started"] = run.planned + timedelta(seconds=begun)
    (place(run) / CHECKPOINT).mkdir(parents=True)
    (place(run) / CHECKPOINT / "model.safetensors").write_text("")
    write(RunRecord.model_validate(values), place(run))


def busy(*runs: PlannedRun) -> dict[str, Outcome]:
    return {run.key: Outcome("busy") for run in runs}


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
        assert wait_for([run], outcomes) == []
    assert outcomes[run.key].state == "finished"
    assert outcomes[run.key].record is not None
    assert capsys.readouterr().out == "waiting for 1 run of another process\n"


def test_a_run_that_diverged_elsewhere_would_diverge_here(tmp_path: Path) -> None:
    (run,) = planned(tmp_path, "")
    finish(run, "diverged", "the loss became nan at step 7")
    outcomes = busy(run)
    assert wait_for([run], outcomes) == []
    assert (outcomes[run.key].state, outcomes[run.key].message) == ("diverged", "the loss became nan at step 7")


def test_a_run_whose_process_is_killed_is_done_here_at_once(tmp_path: Path, later: Callable[..., None]) -> None:
    """The others, which are still being done, are looked at again afterwards."""
    first, second, third = runs = planned(tmp_path, "", "", "")
    outcomes = busy(*runs)
    with held_elsewhere(place(first) / LOCK) as killed, held_elsewhere(place(second) / LOCK):
        finish(third)
        later(killed.kill)
        assert wait_for(runs, outcomes) == [first, second]
    assert [outcomes[run.key].state for run in runs] == ["busy", "busy", "finished"]


def test_a_run_that_was_left_unfinished_is_done_here(tmp_path: Path) -> None:
    (run,) = planned(tmp_path, "")
    outcomes = busy(run)
    assert wait_for([run], outcomes) == [run]
    assert outcomes[run.key].state == "busy"


def test_a_run_that_has_just_failed_elsewhere_is_not_tried_again(tmp_path: Path) -> None:
    (run,) = planned(tmp_path, "")
    finish(run, "failed", "out of memory")
    outcomes = busy(run)
    assert wait_for([run], outcomes) == []
    assert (outcomes[run.key].state, outcomes[run.key].message) == ("failed", "out of memory")


def test_a_failure_of_an_earlier_day_is_tried_again(tmp_path: Path) -> None:
    (run,) = planned(tmp_path, "")
    finish(run, "failed", "out of memory", begun=-86400)
    assert wait_for([run], busy(run)) == [run]


@pytest.mark.parametrize(("force", "begun", "again"), [(False, -60, False), (True, -60, True), (True, 1, False)])
def test_what_was_finished_before_counts_unless_it_is_to_be_done_anew(
    force: bool, begun: float, again: bool, tmp_path: Path
) -> None:
    (run,) = planned(tmp_path, "")
    run = replace(run, config=run.config.model_copy(update={"force": force}))
    finish(run, begun=begun)
    assert wait_for([run], busy(run)) == ([run] if again else [])


def test_a_signal_ends_the_waiting(tmp_path: Path, later: Callable[..., None]) -> None:
    (run,) = planned(tmp_path, "")
    with held_elsewhere(place(run) / LOCK) as other, interruptible():
        later(lambda: os.kill(os.getpid(), signal.SIGTERM), 0.1)
        with pytest.raises(Interrupted):
            wait_for([run], busy(run))
        assert other.poll() is None, "the other process still holds the run"


def test_where_nobody_is_busy_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert wait_for([], {}) == []
    assert capsys.readouterr().out == ""
