"""Every record is found once; what cannot be read is told, never dropped in silence."""

from __future__ import annotations

from datetime import timedelta

from embfact.results.collect import find_records
from embfact.runs.record import write


def test_records_are_found_at_any_depth_and_once(make, tmp_path):
    runs = [make(seed=seed) for seed in range(3)]
    write(runs[0], tmp_path)
    write(runs[1], tmp_path / "sweep" / "run")
    write(runs[2], tmp_path / "sweep" / "other" / "run")
    found = find_records([tmp_path, tmp_path / "sweep", str(tmp_path / "sweep" / "other")])
    assert sorted(record.seed for record in found.records) == [0, 1, 2]
    assert found.problems == ()


def test_a_broken_record_is_a_problem_and_the_others_are_kept(make, tmp_path):
    write(make(seed=0), tmp_path / "whole")
    broken = write(make(seed=1), tmp_path / "broken")
    broken.write_text(broken.read_text()[:100])
    found = find_records([tmp_path])
    assert [record.seed for record in found.records] == [0]
    assert len(found.problems) == 1
    assert str(broken) in found.problems[0]


def test_a_finished_run_counts_before_a_failed_attempt_at_it(make, tmp_path):
    finished = make()
    failed = make(error="interrupted").model_copy(update={"hash": finished.hash})
    failed = failed.model_copy(update={"started": finished.started + timedelta(days=1)})
    write(failed, tmp_path / "a")
    write(finished, tmp_path / "b")
    found = find_records([tmp_path])
    assert [record.status for record in found.records] == ["finished"]
    assert found.problems == ()


def test_a_copied_run_counts_once_and_is_told(make, tmp_path):
    run = make()
    newer = run.model_copy(update={"started": run.started + timedelta(days=1)})
    write(newer, tmp_path / "a")
    write(run, tmp_path / "b")
    found = find_records([tmp_path])
    assert [record.started for record in found.records] == [newer.started]
    assert "more than once" in found.problems[0]


def test_an_empty_directory_holds_nothing(tmp_path):
    found = find_records([tmp_path])
    assert (found.records, found.problems) == ((), ())


def test_what_is_being_deleted_or_written_is_passed_over(make, tmp_path):
    write(make(seed=0), tmp_path / ".sweep" / "run")
    write(make(seed=1), tmp_path / ".sweep" / ".other.pruned")
    assert [record.seed for record in find_records([tmp_path / ".sweep"]).records] == [0]
    assert find_records([tmp_path]).records == ()
