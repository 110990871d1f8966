"""What is published of runs makes the same table and tests again, and tells nothing about the machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.helpers.run_directories import write_record, write_state


@pytest.fixture
def published(train: Any, tiny: list[str], run: Any, tmp_path: Path) -> Path:
    """The folder of a sweep of two seeds and their dense runs, and of the copies."""
    (tmp_path / "private").mkdir()
    words = ["factorization=svd", "rank=8", "seed=0,1", "output_dir=sweep", f"paths.data_dir={tmp_path / 'private'}"]
    assert train(*tiny, *words, "-m", cwd=tmp_path).code == 0
    done = run("runs.py", "export", tmp_path / "sweep", "--output", tmp_path / "paper" / "runs")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("copied 4 runs to ")
    return tmp_path


def test_the_table_and_its_tests_are_the_same(published: Path, run: Any) -> None:
    tables = [
        run("table.py", published / folder, "--significance", "--format", "csv").out
        for folder in ("sweep", "paper/runs")
    ]
    assert tables[0] == tables[1]
    assert "svd" in tables[0]


def test_neither_texts_nor_weights_nor_folders_are_in_it(published: Path) -> None:
    copies = published / "paper" / "runs"
    assert {path.name for path in copies.glob("*/*")} == {"record.json", "predictions.parquet", "metrics.csv"}
    assert not [path for path in copies.glob("*/record.json") if str(published) in path.read_text()]
    for path in copies.glob("*/predictions.parquet"):
        assert pq.read_schema(path).names == ["split", "id", "label", "logits"]


def test_further_runs_are_added_and_old_copies_renewed(run: Any, tmp_path: Path) -> None:
    write_record(tmp_path / "one" / "vader-svd-s0", seed=0)
    write_record(tmp_path / "two" / "vader-svd-s1", "failed", f"no space in {tmp_path}/two now", seed=1)
    write_state(tmp_path / "two" / "vader-svd-s2", "interrupted")
    for folder in ("one", "two", "two"):
        assert run("runs.py", "export", tmp_path / folder, "--output", tmp_path / "runs").code == 0
    copies = [path.read_text() for path in (tmp_path / "runs").glob("*/record.json")]
    assert len(copies) == 2
    assert not [text for text in copies if str(tmp_path) in text]
    assert [text for text in copies if "no space in two now" in text]


def test_a_run_is_never_replaced_by_its_copy(published: Path, run: Any, files_below: Any) -> None:
    before = files_below(published / "sweep")
    done = run("runs.py", "export", published / "sweep", "--output", published / "sweep")
    assert done.code == 2
    assert "--output" in done.err
    assert files_below(published / "sweep") == before


def test_runs_of_two_sweeps_are_not_mixed(published: Path, run: Any, files_below: Any) -> None:
    before = files_below(published / "paper")
    for path in (published / "sweep").glob("*/record.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"experiment": "other"}))
    done = run("runs.py", "export", published / "sweep", "--output", published / "paper" / "runs")
    assert done.code == 2
    assert "other" in done.err
    assert files_below(published / "paper") == before


def test_a_file_in_place_of_the_folder_is_refused(published: Path, run: Any) -> None:
    (published / "file").write_text("mine")
    done = run("runs.py", "export", published / "sweep", "--output", published / "file")
    assert (done.code, (published / "file").read_text()) == (2, "mine")
    assert "--output" in done.err


def test_nothing_to_copy_is_refused(run: Any, tmp_path: Path) -> None:
    write_state(tmp_path / "sweep" / "vader-svd-s2", "interrupted")
    done = run("runs.py", "export", tmp_path / "sweep", "--output", tmp_path / "runs")
    assert done.code == 2
    assert "has ended" in done.err
    assert not (tmp_path / "runs").exists()
