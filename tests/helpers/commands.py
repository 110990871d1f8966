"""Ways to call a script, and what is true of every refusal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import embfact
from tests.helpers.places import ROOT

TINY = ["model=bert_scratch", "factorization=svd", "rank=8", "trainer=cpu", "trainer.max_steps=2", "logger=none"]
TINY += ["trainer.batch_size=8", "trainer.threads=1", "checkpoint=last"]

GOOD = ["a fine film", "fine acting", "great fun", "a warm story", "lovely", "well made", "moving", "a delight"]
BAD = ["a dull film", "dull acting", "no fun", "a cold story", "awful", "badly made", "boring", "a bore"]


@dataclass(frozen=True)
class Answer:
    """What a command answered: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Calls the main function of a script in this process."""
    monkeypatch.setenv("EMBFACT_CACHE_DIR", str(tmp_path / "token_cache"))
    monkeypatch.delenv("EMBFACT_DATA_DIR", raising=False)

    def call(script: str, *arguments: Any) -> Answer:
        capsys.readouterr()
        try:
            code = main_of(script)([str(argument) for argument in arguments])
        except SystemExit as left:  # the parser's own refusals and answers
            code = int(left.code or 0)
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Answer]:
    """Runs a script as the user does, in a process of its own."""

    def call(script: str, *arguments: Any) -> Answer:
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts" / script), *map(str, arguments)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=environment(EMBFACT_CACHE_DIR=str(tmp_path / "token_cache")),
            cwd=tmp_path,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def modules_after() -> Callable[[str, list[list[str]]], tuple[list[int], set[str]]]:
    """Calls a script with each list of arguments in a new process: the exit codes, and all packages imported."""

    def call(script: str, commands: list[list[str]]) -> tuple[list[int], set[str]]:
        code = (
            "import sys, contextlib, io\n"
            f"from embfact.cli.{Path(script).stem} import main\n"
            "codes = []\n"
            f"for arguments in {commands!r}:\n"
            "    with contextlib.redirect_stdout(io.StringIO()):\n"
            "        try:\n"
            "            codes.append(main(arguments))\n"
            "        except SystemExit as left:\n"
            "            codes.append(left.code)\n"
            "print(codes)\n"
            "print(sorted({name.split('.')[0] for name in sys.modules}))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True
        )
        codes, names = done.stdout.splitlines()
        return [int(word) for word in codes.strip("[]").split(",")], {
            name.strip("' ") for name in names[1:-1].split(",")
        }

    return call


def environment(**changes: str) -> dict[str, str]:
    """The environment of a script: the package of this project, and one thread."""
    paths = [str(Path(embfact.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    kept = {key: value for key, value in os.environ.items() if key != "EMBFACT_DATA_DIR"}
    usual = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    return kept | usual | changes


def main_of(script: str) -> Callable[[list[str]], int]:
    """What a script calls: `table.py` calls `embfact.cli.table.main`."""
    return import_module(f"embfact.cli.{Path(script).stem}").main


@pytest.fixture
def refused() -> Callable[[Answer, str], None]:
    """Checks that a command was refused in words: exit code 2, at most five lines, no traceback, nothing printed."""

    def check(done: Answer, words: str) -> None:
        assert done.code == 2
        assert words in done.err
        assert len(done.err.splitlines()) <= 5
        assert "Traceback" not in done.err
        assert done.out == ""

    return check
