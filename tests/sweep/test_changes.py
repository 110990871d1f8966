"""Whoever gives a command again and gets new runs is told what has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from embfact.runs.identity import Identity
from embfact.runs.planned import PlannedRun
from embfact.runs.record import RunRecord
from embfact.runs.status import Status
from embfact.sweep.changes import changes
from tests.helpers.records import make_values
from tests.helpers.run_directories import NAME, write_record, write_state
from tests.helpers.stand_in import planned

SCIENCE: dict[str, Any] = {
    "optimizer": {"lr": 2e-5, "weight_decay": 0.01},
    "trainer": {"epochs": 3, "gradient_clip": None},
    "data_fingerprint": "ab" * 32,
    "model_fingerprint": "cd" * 32,
    "versions": {"torch": "2", "transformers": "4"},
    "results_version": 3,
}
OPTION = {"optimizer": {"lr": 3e-5, "weight_decay": 0.01}}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> PlannedRun:
    return planned(tmp_path_factory.mktemp("runs"), "")[0]


def new(template: PlannedRun, folder: Path, stem: str = NAME) -> PlannedRun:
    """A run that is to be done, and has never been begun."""
    name = f"{stem}00000000"
    return replace(template, identity=Identity("00" * 32, name, folder / name, "", "", SCIENCE))


def unfinished(folder: Path, changed: dict[str, Any], digits: str = "11111111", stem: str = NAME, **status: Any) -> str:
    """An earlier run that was left unfinished; gives its name."""
    name = f"{stem}{digits}"
    write_state(folder / name, "interrupted", science={**SCIENCE, **changed}, **status)
    return name


def finished(folder: Path, changed: dict[str, Any], digits: str = "22222222") -> str:
    """An earlier run that is finished, which has its own idea of what decides a result."""
    name = f"{NAME}{digits}"
    write_record(folder / name, options={**SCIENCE, **changed})
    return name


def test_a_typed_change_is_told_beside_an_unfinished_run(template: PlannedRun, tmp_path: Path) -> None:
    name = unfinished(tmp_path, OPTION)
    (line,) = changes([new(template, tmp_path)])
    assert line.startswith("1 run is new; it differs from earlier ones (")
    assert name in line
    assert line.endswith("in: optimizer.lr 3e-05 -> 2e-05")


def test_a_typed_change_is_not_told_beside_a_finished_run(template: PlannedRun, tmp_path: Path) -> None:
    """Whoever tries several learning rates knows that they are different ones."""
    run = new(template, tmp_path)
    finished(tmp_path, OPTION)
    told = changes([run])
    assert "optimizer" not in "".join(told)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"data_fingerprint": "12" * 32}, "data_fingerprint 12121212... -> abababab..."),
        ({"model_fingerprint": "12" * 32}, "model_fingerprint 12121212... -> cdcdcdcd..."),
        ({"versions": {"torch": "1", "transformers": "4"}}, "versions.torch 1 -> 2"),
        ({"results_version": 2}, "results_version 2 -> 3"),
    ],
)
@pytest.mark.parametrize("left", [unfinished, finished])
def test_what_nobody_has_typed_is_told_in_any_case(
    left: Any, changed: dict[str, Any], words: str, template: PlannedRun, tmp_path: Path
) -> None:
    left(tmp_path, {**OPTION, **changed})
    (line,) = changes([new(template, tmp_path)])
    assert words in line
    assert ("optimizer.lr" in line) == (left is unfinished)


def test_the_same_change_of_many_runs_is_one_line(template: PlannedRun, tmp_path: Path) -> None:
    stems = [f"sst2-minilm-svd-r64-s{seed}-" for seed in range(3)]
    for stem in stems:
        unfinished(tmp_path, OPTION, stem=stem)
    unfinished(tmp_path, {"trainer": {"epochs": 4, "gradient_clip": 1.0}}, stem="sst2-minilm-random-r64-s0-")
    runs = [new(template, tmp_path, stem) for stem in [*stems, "sst2-minilm-random-r64-s0-"]]
    many, one = changes(runs)
    assert many.startswith(f"3 runs are new; they differ from earlier ones ({stems[0]}11111111, ...)")
    assert one.startswith("1 run is new; it differs from earlier ones (sst2-minilm-random-r64-s0-11111111)")
    assert one.endswith("trainer.epochs 4 -> 3; trainer.gradient_clip 1.0 -> null")


def test_of_many_changes_the_first_few_are_told(template: PlannedRun, tmp_path: Path) -> None:
    unfinished(tmp_path, {"a": 1, "b": 2, "c": 3, "d": 4})
    (line,) = changes([new(template, tmp_path)])
    assert line.endswith("a 1 -> null; b 2 -> null; c 3 -> null; ...")


def test_other_names_are_other_runs(template: PlannedRun, tmp_path: Path) -> None:
    unfinished(tmp_path, OPTION, stem="sst2-minilm-svd-r64-s1-")
    unfinished(tmp_path, OPTION, stem="sst2-minilm-svd-r6-s0-")
    unfinished(tmp_path, OPTION, stem=f"x{NAME}")
    unfinished(tmp_path, OPTION, digits="11111111.pruned")
    assert changes([new(template, tmp_path)]) == []


def test_a_run_that_was_only_planned_has_nothing_to_go_on_with(template: PlannedRun, tmp_path: Path) -> None:
    unfinished(tmp_path, OPTION, attempt=0)
    (tmp_path / f"{NAME}33333333").mkdir()
    assert changes([new(template, tmp_path)]) == []


def test_runs_that_are_not_new_are_passed_over(template: PlannedRun, tmp_path: Path) -> None:
    unfinished(tmp_path, OPTION)
    run = new(template, tmp_path)
    status = Status(name="run", hash="00" * 32, state="interrupted", attempt=1)
    begun, done = replace(run, status=status), replace(run, record=RunRecord.model_validate(make_values()))
    stuck = replace(run, identity=None, problem="no data")
    assert changes([begun, done, stuck]) == []
    assert len(changes([replace(run, status=status.now(attempt=0, state="pending"))])) == 1


def test_a_damaged_record_leaves_what_the_status_says(template: PlannedRun, tmp_path: Path) -> None:
    name = unfinished(tmp_path, OPTION)
    (tmp_path / name / "record.json").write_text("{")
    assert len(changes([new(template, tmp_path)])) == 1
