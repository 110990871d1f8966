"""A folder of one's own configurations, beside those of embfact."""

from __future__ import annotations

from pathlib import Path

import pytest

from embfact.cli.train import main
from embfact.compression.factorize_request import read_factorize_request
from embfact.config.own_folder import VARIABLE

CONF = Path(__file__).resolve().parents[2] / "conf"
PLAN = ["data=vader", "plan=true", "factorization=mine"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, "")  # and put back what --config-dir makes of it
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own" / "factorization").mkdir(parents=True)
    own = "_target_: embfact.factorization.svd.SVD\nroute: auto\ncenter: true\nrefactorize_existing: false\n"
    (tmp_path / "own" / "factorization" / "mine.yaml").write_text(own)
    return tmp_path / "own"


@pytest.mark.parametrize("words", [[], ["--cfg", "job"], ["-m", "rank=8,16"], ["--help"]])
def test_the_flag(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(CONF, [*PLAN, *words, "--config-dir", "own"]) == 0
    assert capsys.readouterr().err == ""


def test_the_variable_reaches_every_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(folder))
    assert main(CONF, PLAN) == 0
    words = ["model=minilm", "data=vader", "rank=8"]
    (job,) = read_factorize_request(CONF, ["factorization=mine", *words], False).jobs
    assert job.config.factorization.center
    every = read_factorize_request(CONF, ["factorization=all", *words], False).jobs
    assert sum(one.config.factorization.center for one in every if one.config.factorization.name == "svd") == 1


def test_a_folder_that_is_not_there_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(CONF, [*PLAN, "--config-dir", "other"]) == 2
    assert str(folder.parent / "other") in capsys.readouterr().err


def test_a_file_that_would_be_hidden_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "factorization" / "svd.yaml").write_text("center: true\n")
    assert main(CONF, [*PLAN, "--config-dir", "own"]) == 2
    assert "factorization/svd.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["factorization=mine", "factorisation=mine"])
def test_a_folder_that_is_no_group_is_named_with_the_nearest_group(
    word: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "factorization").rename(folder / "factorisation")
    assert main(CONF, ["data=vader", "plan=true", word, "--config-dir", "own"]) == 2
    told = capsys.readouterr().err
    assert str(folder / "factorisation") in told
    assert "did you mean 'factorization'?" in told


def test_a_group_of_ones_own_can_be_added(folder: Path) -> None:
    (folder / "shared").mkdir()
    (folder / "shared" / "short.yaml").write_text("# @package _global_\nrank: 8\n")
    assert main(CONF, [*PLAN, "+shared=short", "--config-dir", "own"]) == 0
