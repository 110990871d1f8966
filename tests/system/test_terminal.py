"""The standard streams of a command: every character, a reader that leaves, a device that is full."""

from __future__ import annotations

import codecs
import os
import subprocess
import sys
from pathlib import Path

import pytest

from embfact.system.terminal import LossyFile

# A command that prints some lines to both streams, and then does what it is for.
COMMAND = """
import sys
from pathlib import Path
from embfact.system.terminal import as_command
def main():
    for line in sys.argv[1:] + [str(number) for number in range(20_000)]:
        print(line)
        print(line, file=sys.stderr)
    Path("done").touch()
    return 3 if "three" in sys.argv else 0
as_command(main)
"""
SIGNS = "a \u2013 b ± c … d † e ᵃ f ¹ g é h 日 i\xa0j"


def run(folder: Path, *words: str, shell: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    (folder / "command.py").write_text(COMMAND)
    line = [sys.executable, "command.py", *words]
    if shell:
        line = ["bash", "-c", f'"$@" {shell}', "bash", *line]
    kept = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONIOENCODING", "LC_ALL", "PYTHONUTF8")
    }
    return subprocess.run(line, cwd=folder, env=kept | environment, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", SIGNS),
        ("latin-1", "a - b ± c ... d ^+ e ^a f ¹ g é h \\u65e5 i\xa0j"),
        ("cp1252", "a \u2013 b ± c … d † e ^a f ¹ g é h \\u65e5 i\xa0j"),
        ("ascii", r"a - b +- c ... d ^+ e ^a f ^1 g \xe9 h \u65e5 i j"),
        ("utf-16", SIGNS),
    ],
)
def test_what_an_encoding_lacks_is_written_otherwise(encoding: str, expected: str, tmp_path: Path) -> None:
    done = run(tmp_path, SIGNS, "\udcff", PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    for stream in (done.stdout, done.stderr):
        first, second = codecs.decode(stream, encoding).splitlines()[:2]
        assert (first, second) == (expected, r"\udcff")


def test_who_asks_to_lose_them_loses_them(tmp_path: Path) -> None:
    assert run(tmp_path, SIGNS, PYTHONIOENCODING="ascii:ignore").stdout.startswith(b"a  b  c  d  e  f  g  h  ij\n")


def test_a_reader_that_has_read_enough_is_no_error(tmp_path: Path) -> None:
    done = run(tmp_path, shell="| head -n 1; exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stdout.split()) == (0, [b"0"])
    assert len(done.stderr.splitlines()) == 20_000
    assert (tmp_path / "done").is_file()


@pytest.mark.parametrize(("word", "code"), [("two", 1), ("three", 3)])
def test_a_full_device_is_told_after_the_work(word: str, code: int, tmp_path: Path) -> None:
    done = run(tmp_path, word, shell="> /dev/full")
    assert done.returncode == code
    last = done.stderr.splitlines()[-1].decode()
    assert last.startswith("command.py: ")
    assert os.strerror(28) in last
    assert (tmp_path / "done").is_file()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_from_the_start_are_none_of_its_business(closed: str, tmp_path: Path) -> None:
    assert run(tmp_path, shell=closed).returncode == 0
    assert (tmp_path / "done").read_bytes() == b""


def test_a_patient_file_claims_to_have_written_and_knows_better() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with LossyFile(writer, "wb") as stream:
        assert (stream.write(b"abc"), stream.write(b"de")) == (3, 2)
        assert isinstance(stream.lost, BrokenPipeError)
