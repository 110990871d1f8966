"""The line of a run that has ended tells how long the others will take."""

from __future__ import annotations

from pathlib import Path

import pytest

from embfact.launchers import sweep_task
from embfact.launchers.sweep_task import SweepTask
from embfact.runs.planned import Outcome
from embfact.runs.record import RunRecord
from tests.helpers.records import make_values
from tests.helpers.stand_in import planned


def finished(seconds: float) -> Outcome:
    values = make_values(metrics={"validation": {"accuracy": 0.9}})
    values["seconds"]["total"] = seconds
    return Outcome("finished", record=RunRecord.model_validate(values))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(sweep_task.time, "monotonic", lambda: now[0])
    return now


def test_the_time_left_follows_from_the_pace_so_far(
    clock: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = SweepTask(planned(tmp_path, *[""] * 4))
    clock[0] = 22.0  # with the imports
    sweep.report(0, finished(20.0))
    clock[0] = 23.0
    sweep.report(1, Outcome("failed", "ouch"))
    clock[0] = 33.0
    sweep.report(2, finished(10.0))
    clock[0] = 50.0
    sweep.report(3, finished(17.0))
    ends = [line.rpartition("  ")[2] for line in capsys.readouterr().out.splitlines()]
    assert ends == ["about 60 s left", "about 40 s left", "about 15 s left", "17 s"]


def test_runs_that_end_side_by_side_are_counted_by_their_ends(
    clock: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = SweepTask(planned(tmp_path, *[""] * 6))
    for number, end in enumerate((30.0, 31.0, 60.0, 61.0)):
        clock[0] = end
        sweep.report(number, finished(30.0))
    # Four ends in 61 seconds, two to come.
    assert capsys.readouterr().out.splitlines()[-1].endswith("about 30 s left")


def test_a_sweep_that_stops_has_no_time_left(
    clock: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = SweepTask(planned(tmp_path, "", "", ""), fail_fast=True)
    sweep.report(0, finished(20.0))
    sweep.report(1, Outcome("failed", "ouch"))
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("left")
    assert second.endswith("FAILED")
