"""A finished run is sent to its URL once, sent again if that failed, and known from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from embfact.runs.life import Life
from embfact.runs.planned import PlannedRun
from embfact.runs.publish import send, with_published
from embfact.runs.record import RunRecord, write
from embfact.runs.status import read_status
from tests.helpers.records import make_values
from tests.helpers.run_directories import write_state
from tests.helpers.stand_in import planned


def configured(run: PlannedRun, **changes: object) -> PlannedRun:
    return replace(run, config=run.config.model_copy(update=changes))


@pytest.fixture
def run(tmp_path: Path) -> PlannedRun:
    """A run that is finished here, and is to go to a folder that stands for a store."""
    run = configured(planned(tmp_path / "runs", "")[0], output_url=f"file://{tmp_path}/store")
    assert run.identity is not None
    record = RunRecord.model_validate(make_values() | {"hash": run.identity.hash, "name": run.identity.name})
    write(record, run.identity.directory)
    write_state(run.identity.directory, "finished", hash=run.identity.hash)
    return run


def sent(run: PlannedRun) -> str:
    assert run.identity is not None
    return send(run.config, run.identity)


def published(run: PlannedRun) -> str | None:
    assert run.identity is not None
    status = read_status(run.identity.directory)
    assert status is not None
    return status.published


def test_a_run_is_sent_once_and_its_status_says_where(run: PlannedRun, tmp_path: Path) -> None:
    assert sent(run) == ""
    record = tmp_path / "store" / run.title / "record.json"
    assert record.is_file()
    assert published(run) == run.config.output_url
    record.unlink()
    assert sent(run) == ""
    assert not record.exists()
    assert sent(configured(run, force=True)) == ""
    assert record.is_file()


def test_a_run_that_is_to_go_nowhere_stays(run: PlannedRun, tmp_path: Path) -> None:
    assert sent(configured(run, output_url=None)) == ""
    assert published(run) is None
    assert not (tmp_path / "store").exists()


def test_another_url_is_another_place(run: PlannedRun, tmp_path: Path) -> None:
    sent(run)
    assert sent(configured(run, output_url=f"file://{tmp_path}/second")) == ""
    assert (tmp_path / "second" / run.title / "record.json").is_file()


def test_what_could_not_be_sent_is_told_and_sent_the_next_time(run: PlannedRun, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    words = sent(run)
    assert words.startswith(f"finished, but not copied to {run.config.output_url}: ")
    assert words.endswith("; rerun the same command to retry")
    assert published(run) is None
    (tmp_path / "store").unlink()
    assert sent(run) == ""
    assert (tmp_path / "store" / run.title / "record.json").is_file()


def test_runs_that_are_finished_at_their_url_need_not_be_done_here(run: PlannedRun, tmp_path: Path) -> None:
    sent(run)
    other = configured(planned(tmp_path / "runs", "", "")[1], output_url=run.config.output_url)
    stuck = replace(run, identity=None, problem="no data")
    plan = with_published([run, other, stuck])
    assert plan[0].record is not None
    assert (plan[0].pending, plan[0].record.status) == (False, "finished")
    assert plan[1:] == [other, stuck]
    for alone in (configured(run, force=True), configured(run, output_url=None)):
        assert with_published([alone]) == [alone]


@pytest.mark.parametrize(("kept", "asked", "pending"), [("none", "last", True), ("none", "none", False)])
def test_weights_that_are_asked_for_must_be_at_the_url(kept: str, asked: str, pending: bool, run: PlannedRun) -> None:
    assert run.identity is not None
    values = make_values() | {"hash": run.identity.hash, "name": run.identity.name, "config": {"checkpoint": kept}}
    write(RunRecord.model_validate(values), run.identity.directory)
    sent(run)
    (found,) = with_published([configured(run, checkpoint=asked)])
    assert found.pending == pending
    # Done again, it is sent again.
    Life(run.identity).end("finished")
    assert published(run) is None


def test_a_record_of_another_hash_is_another_run(run: PlannedRun) -> None:
    sent(run)
    assert run.identity is not None
    changed = replace(run, identity=replace(run.identity, hash="ab" * 32))
    assert with_published([changed]) == [changed]
