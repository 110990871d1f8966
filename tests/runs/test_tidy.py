"""What killed processes leave is removed, and nothing is taken from a process that is at work."""

from __future__ import annotations

import pytest

from embfact.runs.tidy import tidy, tidy_caches
from tests.helpers.run_directories import held_elsewhere, write_record

STEM = "0123456789abcdef" * 4


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def littered(tmp_path):
    run = write_record(tmp_path / "run")
    for name in ("run.lock", ".record.json.123.tmp", "predictions.tmp", "log.txt"):
        (run / name).write_text("")
    for name in (".checkpoint-abcdefgh", "checkpoint", "resume"):
        (run / name).mkdir()
        (run / name / "model.safetensors").write_text("")
    (run / "resume" / ".latest.json.7.tmp").write_text("")
    return run


def test_a_run_directory_keeps_what_belongs_there(littered):
    tidy(littered)
    assert names(littered) == ["checkpoint", "log.txt", "record.json", "resume"]
    assert names(littered / "resume") == names(littered / "checkpoint") == ["model.safetensors"]


def test_nothing_is_taken_from_a_run_that_is_being_done(littered):
    before = names(littered)
    with held_elsewhere(littered / "run.lock"):
        tidy(littered)
        assert names(littered) == before
    tidy(littered)
    assert "run.lock" not in names(littered)


def test_a_clean_or_missing_directory_is_left_alone(tmp_path):
    run = write_record(tmp_path / "run")
    changed = run.stat().st_mtime_ns
    tidy(run)
    tidy(tmp_path / "nowhere")
    assert run.stat().st_mtime_ns == changed
    assert not (tmp_path / "nowhere").exists()


def test_caches_keep_whole_files_and_what_is_being_written(tmp_path):
    tokens, decompositions = tmp_path / "tokens", tmp_path / "decompositions"
    busy = "f" * 64
    for folder, stem in ((tokens, STEM), (tokens, busy), (decompositions, STEM[:32])):
        folder.mkdir(exist_ok=True)
        for name in (f"{stem}.arrow", f"{stem}0a1b2c3d.tmp", f"{stem}.lock"):
            (folder / name).write_text("")
    (tokens / "notes.tmp").write_text("not ours")
    with held_elsewhere(tokens / f"{busy}.lock"):
        tidy_caches(tmp_path)
        assert names(tokens) == sorted(
            [f"{STEM}.arrow", f"{busy}.arrow", f"{busy}.lock", f"{busy}0a1b2c3d.tmp", "notes.tmp"]
        )
        assert names(decompositions) == [f"{STEM[:32]}.arrow"]
    tidy_caches(tmp_path)
    assert names(tokens) == sorted([f"{STEM}.arrow", f"{busy}.arrow", "notes.tmp"])


def test_a_cache_that_was_never_used_is_not_made(tmp_path):
    tidy_caches(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
