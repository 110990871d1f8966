"""The variables of Weights & Biases count where nothing is typed: WANDB_MODE, WANDB_DIR, WANDB_PROJECT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embfact.config.compose import read_request
from tests.cli.wandb_file import read_offline

PLAN = ["model=bert_scratch", "rank=16", "plan=true"]


@pytest.fixture
def _fresh_wandb() -> Iterator[None]:
    """W&B keeps what it has read from the environment for the rest of the process, unless it is torn down."""
    import wandb

    wandb.teardown()
    yield
    wandb.teardown()


@pytest.mark.parametrize(
    ("variable", "words", "mode"),
    [
        (None, [], "offline"),
        ("", [], "offline"),
        ("offline", [], "offline"),
        ("dryrun", [], "offline"),
        ("online", [], "online"),
        ("run", [], "online"),
        ("disabled", [], "none"),
        ("disabled", ["logger=auto"], "none"),
        ("disabled", ["experiment=search_lr"], "none"),
        ("disabled", ["logger=offline"], "offline"),
        ("disabled", ["logger.mode=online"], "online"),
        ("offline", ["logger=wandb"], "online"),
        ("online", ["logger=none"], "none"),
        ("nonsense", ["logger=none"], "none"),
        ("online", ["logger.mode=disabled"], "none"),
    ],
)
def test_what_is_typed_comes_before_the_variable(
    variable: str | None, words: list[str], mode: str, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if variable is not None:
        monkeypatch.setenv("WANDB_MODE", variable)
    assert {config.logger.mode for config in read_request(conf, words, multirun=False).configs} == {mode}


@pytest.mark.parametrize("mode", ["shared", "OFFLINE", "nonsense"])
def test_another_mode_is_refused(mode: str, train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    answer = train(*PLAN, cwd=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert "WANDB_MODE" in answer.err
    assert repr(mode) in answer.err


def test_the_project_is_that_of_the_variable(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "theirs")
    assert read_request(conf, [], multirun=False).configs[0].logger.project == "theirs"
    assert read_request(conf, ["logger.project=mine"], multirun=False).configs[0].logger.project == "mine"


def test_disabled_leaves_nothing(train: Any, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    words = [word for word in tiny if not word.startswith("logger")]
    answer = train(*words, "factorization=none", "output_dir=runs", cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    assert "wandb" not in answer.out
    assert list(tmp_path.rglob("wandb")) == []


@pytest.mark.usefixtures("_fresh_wandb")
def test_its_files_go_where_the_folder_is_said_to_be(
    train: Any, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "their files"
    monkeypatch.setenv("WANDB_DIR", str(home))
    monkeypatch.setenv("WANDB_MODE", "nonsense")  # which does not count, since a mode is typed
    answer = train(*tiny, "logger=offline", "factorization=svd", "rank=8", "output_dir=runs", "-m", cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    files = home.glob("wandb/offline-run-*/*.wandb")
    runs = {path.parent.name for path in tmp_path.glob("runs/*/record.json")}
    assert {read_offline(path).name for path in files} == {*runs, "debug (sweep)"}
    assert [path for path in tmp_path.rglob("wandb") if not path.is_relative_to(home)] == []
    assert answer.out.splitlines()[-1].endswith(f": wandb sync '{home}'/wandb/offline-run-*")


@pytest.mark.parametrize(("words", "code"), [(["logger=offline"], 2), (["logger=none"], 0)])
def test_a_folder_that_cannot_be_written_to_is_refused(
    words: list[str], code: int, train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "file" / "below"))
    answer = train(*PLAN, *words, cwd=tmp_path)
    assert answer.code == code
    assert (str(tmp_path / "file" / "below") in answer.err) == (code == 2)
