"""`scripts/plot.py`: every kind, and words for what cannot be drawn."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from embfact.cli.plot import main
from tests.helpers.pictures import write_run, write_sweep


@pytest.fixture
def sweep(tmp_path):
    """A maker of sweeps on disk: see `write_sweep`."""
    return partial(write_sweep, tmp_path)


@pytest.fixture
def plot(monkeypatch, tmp_path, capsys):
    """Run the script in a folder; gives the exit code and what stands on both channels."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_a_folder_and_a_file_are_enough(sweep, plot, tmp_path):
    sweep(("svd",), (32, 64))
    assert plot(".", "--output", "sweep.svg") == (0, "wrote sweep.svg\n", "")
    assert (tmp_path / "sweep.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize("kind", ["pareto", "retention", "curves", "tasks"])
def test_every_kind_of_several_data_sets(sweep, plot, tmp_path, kind):
    sweep(("svd",), (32,), ("cola", "sst2"))
    code, _, told = plot(".", "--kind", kind, "--data", "sst2", "--metric", "accuracy", "--output", "a.png")
    assert (code, told) == (0, "")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_all_that_is_wrong_is_told_at_once(sweep, plot):
    sweep(("svd",), (32,), ("cola", "sst2"))
    code, _, told = plot("nowhere", "--output", "a.jpg")
    assert code == 2
    assert [line.split(";")[0] for line in told.splitlines()] == [
        "plot.py: cannot write a.jpg",
        "plot.py: nowhere is not a directory",
    ]
    code, _, told = plot(".", "--metric", "acuracy", "--output", "a.svg")
    assert code == 2
    assert [line.split(";")[0] for line in told.splitlines()] == [
        "plot.py: several data sets found (cola, sst2)",
        "plot.py: no metric called acuracy",
    ]
    assert not Path("a.svg").exists()


def test_a_missing_seed_is_told_beside_the_plot(sweep, plot, tmp_path):
    sweep(("svd",), (64,))
    write_run(tmp_path, method="svd", rank=128, seed=1)
    code, _, told = plot(".", "--output", "a.svg")
    assert (code, told) == (0, "plot.py: sst2: seed 0 missing for svd r=128.\n")


def test_words_are_refused_before_anything_heavy_is_loaded(sweep, tmp_path):
    sweep(("svd",), (64,))
    code = (
        "import sys; from embfact.cli.plot import main\n"
        f"assert main([{str(tmp_path)!r}, '--data', 'sst3']) == 2\n"
        "assert not {'matplotlib', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
