"""Before a sweep starts, every run says that it is to be done, and what dead processes have left is settled."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from embfact.runs.config_file import read_config
from embfact.runs.identity import Identity
from embfact.runs.planned import PlannedRun
from embfact.runs.record import RunRecord
from embfact.runs.status import LOCK, RESUME, Status, read_status
from embfact.sweep.planner import prepare
from tests.helpers.records import make_values
from tests.helpers.run_directories import held_elsewhere, write_record, write_state
from tests.helpers.stand_in import planned


def identity_of(run: PlannedRun) -> Identity:
    assert run.identity is not None
    return run.identity


def status_of(run: PlannedRun) -> Status:
    status = read_status(identity_of(run).directory)
    assert status is not None
    return status


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def finished(run: PlannedRun, **values: object) -> PlannedRun:
    """The same run, with its record."""
    record = make_values(**values) | {"hash": identity_of(run).hash}  # type: ignore[arg-type]
    return replace(run, record=RunRecord.model_validate(record))


@pytest.fixture
def run(tmp_path: Path) -> PlannedRun:
    run = planned(tmp_path / "runs", "")[0]
    cache = run.config.paths.model_copy(update={"cache_dir": str(tmp_path / "cache")})
    return replace(run, config=run.config.model_copy(update={"paths": cache}))


def test_new_runs_are_pending_and_can_be_done_from_their_directories(tmp_path: Path) -> None:
    runs = planned(tmp_path, "", "", "")
    assert prepare(runs) == []
    for run in runs:
        identity = identity_of(run)
        status = status_of(run)
        assert (status.state, status.attempt, status.hash) == ("pending", 0, identity.hash)
        assert status.science == identity.science
        assert read_config(identity.directory) == run.config
        assert names(identity.directory) == ["config.yaml", "status.json"]


def test_what_an_earlier_attempt_says_stays(run: PlannedRun) -> None:
    directory = identity_of(run).directory
    write_state(directory, "interrupted", hash=identity_of(run).hash, attempt=2, seconds=60.0)
    before = read_status(directory)
    assert prepare([replace(run, status=before)]) == []
    assert read_status(directory) == before


def test_a_run_that_cannot_start_is_passed_over(run: PlannedRun, tmp_path: Path) -> None:
    assert prepare([replace(run, identity=None, problem="no data")]) == []
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_said_for_a_run_that_another_process_is_at(run: PlannedRun) -> None:
    directory = identity_of(run).directory
    with held_elsewhere(directory / LOCK):
        assert prepare([run]) == []
        assert names(directory) == [LOCK]


@pytest.mark.parametrize(
    ("state", "values"), [("finished", {}), ("diverged", {"error": "the loss became nan at step 7"})]
)
def test_a_run_whose_process_died_after_its_record_is_settled(
    state: str, values: dict[str, str], run: PlannedRun
) -> None:
    directory = identity_of(run).directory
    write_state(directory, "running", hash=identity_of(run).hash, phase="recording", attempt=2)
    (directory / RESUME).mkdir()
    (directory / RESUME / "a.ckpt").write_text("")
    (directory / LOCK).write_text("")
    (directory / ".record.json.7.tmp").write_text("")
    done = finished(run, **values)
    record = replace(done, record=done.record.model_copy(update={"status": state}) if done.record else None)
    assert prepare([record]) == []
    assert names(directory) == ["status.json"]
    status = status_of(run)
    assert (status.state, status.message, status.attempt) == (state, values.get("error"), 2)


def test_a_finished_run_is_not_written_to(run: PlannedRun) -> None:
    directory = identity_of(run).directory
    write_state(directory, "finished", hash=identity_of(run).hash)
    before = (directory / "status.json").stat().st_mtime_ns, directory.stat().st_mtime_ns
    assert prepare([finished(run)]) == []
    assert ((directory / "status.json").stat().st_mtime_ns, directory.stat().st_mtime_ns) == before


def test_a_finished_run_that_is_kept_elsewhere_gets_no_directory(run: PlannedRun) -> None:
    assert prepare([finished(run)]) == []
    assert not identity_of(run).directory.exists()


def test_a_finished_run_under_the_hands_of_another_process_is_left_alone(run: PlannedRun) -> None:
    directory = identity_of(run).directory
    write_state(directory, "running", hash=identity_of(run).hash)
    with held_elsewhere(directory / LOCK):
        prepare([finished(run)])
        assert status_of(run).state == "running"


def test_a_damaged_record_is_told_since_its_run_is_done_again(run: PlannedRun) -> None:
    directory = write_record(identity_of(run).directory)
    record = directory / "record.json"
    record.write_bytes(record.read_bytes()[:-20])
    (line,) = prepare([run])
    assert line.startswith(f"{run.title} is repeated: {record} is truncated or not JSON")


def test_the_record_of_a_failure_is_no_damage(run: PlannedRun) -> None:
    write_record(identity_of(run).directory, "failed")
    assert prepare([run]) == []


def test_a_directory_that_cannot_be_made_fails_its_run_when_its_turn_comes(run: PlannedRun, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    assert prepare([run]) == []


def test_a_directory_that_somebody_else_has_closed_stops_no_sweep(run: PlannedRun, tmp_path: Path) -> None:
    write_record(identity_of(run).directory)
    (tmp_path / "runs").chmod(0)
    child = os.fork()  # root may look into everything, and can be somebody else only once
    if not child:
        code = 1
        with suppress(BaseException):
            if os.getuid() == 0:
                os.setuid(65534)
            code = len(prepare([run]))
        os._exit(code)
    _, status = os.waitpid(child, 0)
    (tmp_path / "runs").chmod(0o700)
    assert os.waitstatus_to_exitcode(status) == 0


def test_what_killed_processes_have_left_in_the_caches_goes(run: PlannedRun, tmp_path: Path) -> None:
    tokens = tmp_path / "cache" / "tokens"
    tokens.mkdir(parents=True)
    for suffix in (".arrow", ".lock", "x1.tmp"):
        (tokens / f"{'ab' * 32}{suffix}").write_text("")
    prepare([run])
    assert names(tokens) == [f"{'ab' * 32}.arrow"]
