"""Whatever is typed is a plan, or refused in words: exit code 0 or 2, no traceback, and nothing left behind."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cli.grammar import Grammar
from tests.helpers.places import ROOT

GOOD = ["model=bert_scratch", "data=vader", "logger=none", "rank=16"]


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    """Hydra answers --info through the root logger."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def fault_of(code: int, out: str, err: str, left: list[Path]) -> str:
    """What is wrong with an answer; empty if nothing is."""
    # A plan says by its exit code that data or weights are not here.
    planned = code == 0 or (code == 1 and "cannot start: " in out)
    refused = code == 2 and out == "" and err.startswith("embfact: nothing was started; ")
    return "" if (planned or refused) and "Traceback" not in out + err and not left else f"{code}: {err[-1000:]} {left}"


@pytest.mark.usefixtures("_logging_restored")
@pytest.mark.parametrize("seed", range(10))
def test_thirty_words_alone_and_in_a_sweep(seed: int, conf: Path, train: Any, tmp_path: Path) -> None:
    grammar = Grammar(conf, seed)
    errors: dict[str, str] = {}
    for _ in range(30):
        line = [grammar.word()]
        for words in (line, [*line, "-m"]):
            answer = train(*GOOD, *words, "plan=true", cwd=tmp_path)
            if detail := fault_of(answer.code, answer.out, answer.err, list(tmp_path.iterdir())):
                errors[" ".join(words)] = detail
    assert errors == {}


@pytest.mark.slow
def test_three_thousand_words_through_processes(conf: Path, tmp_path: Path) -> None:
    grammar = Grammar(conf, 13)
    lines: list[list[str]] = []
    while sum(map(len, lines)) < 3000:
        lines.append(grammar.line())
    environment = {name: value for name, value in os.environ.items() if name != "EMBFACT_DATA_DIR"}

    def answer(number: int) -> str:
        folder = tmp_path / str(number)
        folder.mkdir()
        words = [*GOOD, *lines[number], *(["-m"] if number % 2 else []), "plan=true"]
        done = subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        return fault_of(done.returncode, done.stdout, done.stderr, list(folder.iterdir()))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = dict(zip(map(tuple, lines), pool.map(answer, range(len(lines))), strict=True))
    assert {line: detail for line, detail in errors.items() if detail} == {}
