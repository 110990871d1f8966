"""The command line of scripts/table.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import embfact
from embfact.results.collect import find_records
from embfact.runs.record import write


@pytest.fixture
def outputs(make, tmp_path):
    for record in [make("none", None, 0), make("svd", 64, 0), make("svd", 64, 1, error="out of memory")]:
        write(record, tmp_path / "outputs" / record.name)
    return tmp_path / "outputs"


def test_the_table_is_printed(outputs, command):
    done = command("table.py", outputs)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("| method | rank |")
    assert "out of memory" in done.out


def test_the_table_of_published_runs_is_the_same(outputs, run):
    done = run("table.py", f"file://{outputs}")
    assert (done.code, done.err) == (0, "")
    assert done.out == run("table.py", outputs).out


def test_a_file_is_written_and_warnings_still_reach_the_terminal(outputs, run, tmp_path):
    target = tmp_path / "table.csv"
    done = run("table.py", outputs, "--format", "csv", "--output", target)
    assert (done.code, done.out) == (0, "")
    assert target.read_text().startswith("model,method,storage,rank,size_name,asked")
    assert "out of memory" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{tmp}/nowhere"], "is not a directory"),
        (["{tmp}/empty"], "no readable run records"),
        (["file://{tmp}/nowhere"], "no readable run records"),
        (["nosuch://bucket"], "unknown protocol 'nosuch'"),
        (["{tmp}/broken"], "not JSON"),
        (["{tmp}/outputs", "--format", "rtf"], "invalid choice: 'rtf'"),
        (["{tmp}/outputs", "--from", "wandb:us/sweep"], "give either DIR"),
        (["--from", "us/sweep"], "give wandb:ENTITY/PROJECT"),
        (["{tmp}/outputs", "--rows", "methd"], "did you mean 'method'?"),
        (["{tmp}/outputs", "--output", "{tmp}/nowhere/table.md"], "give a file name in an existing folder"),
        (["{tmp}/outputs", "--output", "{tmp}/empty"], "give a file name in an existing folder"),
        ([], "DIR"),
    ],
)
def test_bad_input_is_told_in_words(outputs, run, tmp_path, arguments, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "record.json").write_text('{"schema_version": 1,')
    done = run("table.py", *(argument.format(tmp=tmp_path) for argument in arguments))
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("embfact.results.collect, embfact.results.table.render", "numpy scipy statsmodels pyarrow torch transformers"),
        ("embfact.tasks.metrics", "torch torchmetrics transformers pyarrow"),
    ],
)
def test_tables_need_neither_torch_nor_scipy(modules, heavy):
    code = f"import sys, {modules}; sys.exit(bool(set({heavy.split()}) & set(sys.modules)))"
    paths = str(Path(embfact.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}, check=False)
    assert done.returncode == 0


def test_the_fields_of_the_command_line_reach_the_table(outputs, run):
    done = run(
        *("table.py", outputs, "--rows", "method", "--columns", "data,metric", "--bold", "none", "--stat", "mean"),
        *("--format", "latex", "--caption", "Sentiment & rank.", "--label", "tab:sst"),
    )
    assert (done.code, done.err) == (0, "")
    assert r"\caption{Sentiment \& rank.}" in done.out
    assert r"\label{tab:sst}" in done.out
    assert r"none & 90.0" in done.out


def test_runs_of_wandb_make_the_same_table(outputs, run, monkeypatch):
    import embfact.results.wandb.runs as runs

    monkeypatch.setattr(runs, "collected", {"wandb:us/sweep": find_records([outputs])}.__getitem__)
    done = run("table.py", "--from", "wandb:us/sweep")
    assert (done.code, done.out) == (0, run("table.py", outputs).out)
