"""What a terminal of 80 columns shows of a sweep: bars while it runs, and at the end lines that fit."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from tests.helpers.commands import environment
from tests.helpers.places import ROOT

COLUMNS = 80
SWEEP = ["model=bert_scratch", "data=vader", "debug=fast", "trainer=cpu", "logger=none", "output_dir=runs", "-m"]
SWEEP += ["factorization=svd", "rank=8", "trainer.eval_batch_size=8", "optimizer.lr=1e-9"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("screen")


@pytest.fixture(scope="module")
def drawn(folder: Path) -> str:
    """Everything that the terminal received during a sweep."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    where = environment(EMBFACT_CACHE_DIR=str(folder / "cache"))
    where.pop("COLUMNS", None)
    command = [sys.executable, str(ROOT / "train.py"), *SWEEP]
    sweep = subprocess.Popen(command, cwd=folder, env=where, stdout=theirs, stderr=theirs)
    os.close(theirs)
    received = b""
    with suppress(OSError):  # Linux says so when the other end is closed
        while part := os.read(ours, 2**16):
            received += part
    os.close(ours)
    assert sweep.wait() == 0, received.decode()
    return received.decode().replace("\r\n", "\n")


def shown(drawn: str) -> list[str]:
    """The lines that stay on the screen: the last thing drawn over each."""
    lines = [line.split("\r")[-1] for line in drawn.split("\n")]
    return [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line).rstrip() for line in lines]


def test_training_and_scoring_have_a_bar_each(drawn: str) -> None:
    bars = {line for part in drawn.split("\n") for line in part.split("\r") if "%|" in line}
    for what in (r"-s0-\w{8} 1/\d: ", r"-s0-\w{8} selection: ", r"-s0-\w{8} test: "):
        assert any(re.search(what + r" *\d+%\|", bar) for bar in bars), what
    assert any(re.search(r" test: +\d+%\|.*\| \d/8 ", bar) for bar in bars), "64 rows in batches of 8"
    assert max(map(len, bars)) <= COLUMNS


def test_only_lines_of_text_stay(drawn: str) -> None:
    lines = shown(drawn)
    assert not any("%|" in line for line in lines)
    assert re.fullmatch(r"\[1/2\] vader-bert-scratch-none-s0-\w{8}  accuracy [\d.]+  \d+ s  about \d+ s left", lines[0])
    assert re.fullmatch(r"\[2/2\] vader-bert-scratch-svd-r8-s0-\w{8}  accuracy [\d.]+  \d+ s", lines[1])
    assert lines[2] == ""
    assert lines[3].startswith("| method | rank |")


def test_the_table_fits_and_has_what_matters(drawn: str) -> None:
    rows = [line for line in shown(drawn) if line.startswith("|")]
    assert len(rows) == 4
    assert max(map(len, rows)) <= COLUMNS
    assert [cell.strip() for cell in rows[0].split("|")[1:6]] == [
        *("method", "rank", "emb. params", "emb. bytes", "model params")
    ]
    assert rows[0].split("|")[-2].strip() == "accuracy"


def test_runs_at_chance_are_marked_once(drawn: str) -> None:
    """Without a learning rate nothing is learned."""
    assert " ".join(shown(drawn)).count("not clearly above the majority class") == 1


def test_a_file_gets_the_whole_table_and_no_bar(drawn: str, folder: Path) -> None:
    where = environment(EMBFACT_CACHE_DIR=str(folder / "cache"))
    where.pop("COLUMNS", None)
    command = [sys.executable, str(ROOT / "train.py"), *SWEEP, "force=true", "factorization=none"]
    done = subprocess.run(command, cwd=folder, env=where, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "%|" not in done.stdout
    header = next(line for line in done.stdout.splitlines() if line.startswith("|"))
    assert len(header) > COLUMNS
    assert header.split("|")[-2].strip() == "seconds"
