"""A terminal shows what is running and how long it will take, and keeps nothing but the lines of the runs."""

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

from embfact.launchers.progress import Running, line_of
from embfact.runs.pace import time_left
from tests.helpers.places import ROOT
from tests.helpers.stand_in import planned, tell


@pytest.mark.parametrize(
    ("ended", "waiting", "running", "places", "seconds"),
    [
        ([], 5, [10, 20], 2, None),
        ([60], 0, [], 2, 0),
        ([50, 70], 4, [], 2, 120),
        ([60], 4, [30, 30], 2, 150),
        ([60], 1, [0, 50], 2, 65),
        ([60], 0, [10], 2, 50),
        ([60], 0, [500], 1, 0),
    ],
)
def test_the_time_left_follows_from_the_runs_that_have_ended(
    ended: list[float], waiting: int, running: list[float], places: int, seconds: float | None
):
    assert time_left(ended, waiting, running, places) == seconds


def test_a_line_says_what_a_run_does(tmp_path: Path):
    (run,) = planned(tmp_path, "")
    assert line_of(Running(run, 1.0, os.getpid())) == (f"{run.title}  starting", 0, None)
    tell(run)
    assert line_of(Running(run, 1.0, os.getpid())) == (f"{run.title}  training 3/12", 3, 12)
    tell(run, phase="loading", step=0, steps=None)
    assert line_of(Running(run, 1.0, os.getpid())) == (f"{run.title}  loading", 0, None)
    # What an earlier attempt has left says nothing about this one.
    assert line_of(Running(run, 1.0, os.getpid() + 1)) == (f"{run.title}  starting", 0, None)


def test_a_terminal_keeps_the_lines_of_the_runs_and_nothing_else(tmp_path: Path):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = [sys.executable, "-m", "tests.helpers.stand_in", str(tmp_path)]
    command += ["running sleep=1.5", "running sleep=3", "failed=no", "busy"]
    sweep = subprocess.Popen(command, cwd=ROOT, stdout=theirs, stderr=theirs)
    os.close(theirs)
    drawn = b""
    with suppress(OSError):  # Linux says so when the other end is closed
        while part := os.read(ours, 4096):
            drawn += part
    assert sweep.wait() == 0
    os.close(ours)

    text = drawn.decode()
    assert text.count("training 3/12 |") >= 2
    assert "0 of 4 runs" in text
    assert re.search(r"3 of 4 runs, about \d s left", text)
    lines = screen(text)
    assert [line.split()[0] for line in lines] == ["[1/4]", "[3/4]", "[2/4]"]


def screen(text: str) -> list[str]:
    """What a terminal shows after some output, of all that a bar may send to it."""
    rows, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[A|\x1b\[K|\r|\n|[^\x1b\r\n]", text):
        if token == "\x1b[A":
            row = max(0, row - 1)
        elif token == "\x1b[K":
            rows[row] = rows[row][:column]
        elif token == "\r":
            column = 0
        elif token == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        else:
            rows[row] = rows[row][:column].ljust(column) + token + rows[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in rows if line.strip()]
