"""Removing runs: whole, hidden while it lasts, and never under the hands of another process."""

from __future__ import annotations

import shutil

import pytest

from embfact.runs.prune import is_ours, leftovers, prune, weights
from embfact.runs.survey import look, survey
from tests.helpers.run_directories import held_elsewhere, write_record, write_state

NAME = "sst2-minilm-svd-r64-s0-0123abcd"


@pytest.fixture
def failed(tmp_path):
    run = write_record(tmp_path / NAME, "failed")
    for name in ("checkpoint", "resume"):
        (run / name).mkdir()
        (run / name / "model.safetensors").write_bytes(bytes(1000))
    return run


def test_a_run_directory_goes_as_a_whole(failed):
    assert prune(look(failed)) is None
    assert list(failed.parent.iterdir()) == []


def test_weights_alone_go_and_the_record_stays(failed):
    run = look(failed)
    assert weights(run) == [failed / "checkpoint", failed / "resume"]
    assert prune(run, weights_only=True) is None
    assert [path.name for path in failed.iterdir()] == ["record.json"]
    assert weights(run) == []


def test_a_run_that_was_taken_up_again_is_kept(failed):
    run = look(failed)
    with held_elsewhere(failed / "run.lock"):
        assert "another process" in prune(run)
    write_state(failed, "interrupted")
    assert "changed" in prune(run)
    assert look(failed).state == "interrupted"


def test_a_prune_that_is_killed_leaves_no_half_run(failed, monkeypatch):
    def killed(folder, **_):
        if folder.exists():
            raise KeyboardInterrupt

    run = look(failed)
    with monkeypatch.context() as patch:
        patch.setattr("embfact.runs.prune.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(run)
    assert survey([failed.parent]) == []
    (left,) = leftovers([failed.parent])
    assert (left / "record.json").exists()
    shutil.rmtree(left)


def test_only_directories_of_runs_are_ours(tmp_path):
    damaged = tmp_path / NAME
    stranger = tmp_path / "precious"
    for directory in (damaged, stranger):
        directory.mkdir()
        (directory / "record.json").write_text('{"a recording":')
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "status.json").write_text('{"state": "failed", "service": "up"}')
    ours = {run.directory.name: is_ours(run) for run in survey([tmp_path])}
    assert ours == {NAME: True, "precious": False, "other": False}
