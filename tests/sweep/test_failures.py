"""What is not finished at the end of a command: counted by reason, each reason told once."""

from __future__ import annotations

from pathlib import Path

from embfact.runs.planned import Outcome
from embfact.sweep.failures import unfinished
from tests.helpers.stand_in import planned

NAN = "the loss became nan at step {}; lower optimizer.lr"


def test_reasons_are_counted_and_told_once(tmp_path: Path) -> None:
    runs = planned(tmp_path, *[""] * 7)
    states = [
        Outcome("finished"),
        Outcome("failed", "a.csv, line 3: no label"),
        Outcome("failed", "MemoryError: out of memory"),
        Outcome("failed", "MemoryError: out of memory"),
        Outcome("diverged", NAN.format(7)),
        Outcome("diverged", NAN.format(12)),
        Outcome("interrupted", "its process was ended by SIGTERM"),
    ]
    lines = unfinished(runs, {run.key: outcome for run, outcome in zip(runs, states, strict=True)})
    names = [run.title for run in runs]
    assert lines == [
        f"3 runs failed: 2 x MemoryError: out of memory ({names[2]}, {names[3]})",
        f"               1 x a.csv, line 3: no label ({names[1]})",
        f"2 runs diverged: 2 x {NAN.format(7)} ({names[4]}, {names[5]})",
        f"interrupted: {names[6]}: its process was ended by SIGTERM",
    ]


def test_files_of_different_names_are_different_reasons(tmp_path: Path) -> None:
    runs = planned(tmp_path, "", "")
    outcomes = {run.key: Outcome("failed", f"part{seed}.csv, line 1: no label") for seed, run in enumerate(runs)}
    assert [line.count("1 x part") for line in unfinished(runs, outcomes)] == [1, 1]


def test_a_traceback_is_named_where_there_is_one(tmp_path: Path) -> None:
    runs = planned(tmp_path, "", "")
    place = runs[1].identity.directory if runs[1].identity else tmp_path
    place.mkdir(parents=True)
    (place / "log.txt").write_text("Traceback")
    outcomes = {run.key: Outcome("failed", "ouch") for run in runs}
    (line,) = unfinished(runs, outcomes)
    assert line.endswith(f"({runs[0].title}, {runs[1].title}; traceback in {place / 'log.txt'})")


def test_many_names_are_counted(tmp_path: Path) -> None:
    runs = planned(tmp_path, *[""] * 8)
    (line,) = unfinished(runs, {run.key: Outcome("failed", "ouch") for run in runs})
    assert line.startswith("8 runs failed: 8 x ouch (vader-")
    assert line.count("vader-") == 5
    assert line.endswith(" and 3 more)")


def test_what_was_not_started_is_no_failure(tmp_path: Path) -> None:
    first, second, third = planned(tmp_path, "", "", "")
    lines = unfinished([first, second, third], {first.key: Outcome("finished"), second.key: Outcome("busy")})
    assert [line.partition(": ")[0] for line in lines] == ["not run", "not run"]
    assert any("fail_fast=true" in line and third.title in line for line in lines)
    assert unfinished([first], {first.key: Outcome("finished")}) == []
