"""What commands print, whatever the terminal can take and however its reader ends.

Light to import: the standard library only.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import signal
import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, cast

from embfact.system.signals import leave

# What stands for characters of ours where an encoding lacks them; others become escapes such as \xe9.
_PLAIN = {"±": "+-", "\u2013": "-", "…": "...", "†": "^+", "\xa0": " "}
_HANDLER = "embfact.plain"
# Ways to lose characters that only somebody who asked for them has (PYTHONIOENCODING=ascii:replace).
_ASKED_FOR = ("ignore", "replace", "namereplace", "xmlcharrefreplace")


def as_command(main: Callable[[], int]) -> NoReturn:
    """Be a command of a shell: do what it is for, and end the process with its exit code.

    Args:
        main: Does it, and gives the exit code.
    """
    _leave_ascii()
    streams = open_streams()
    try:
        code = main()
    except SystemExit as left:  # of argparse, which has said why
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    for lost in [stream.lost for stream in streams if stream.lost and stream.lost.errno != errno.EPIPE][:1]:
        code = code or 1
        print(f"{Path(sys.argv[0]).name}: not all could be printed ({lost.strerror})", file=sys.stderr, flush=True)
    leave(code)


def open_streams() -> list[Patient]:
    """Make the standard streams of this process take every character, and outlive their readers.

    For each process that prints, when it starts.
    """
    codecs.register_error(_HANDLER, _plain)
    opened = []
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started this: the next file to be opened would be taken for it
            setattr(sys, name, Path(os.devnull).open("w" if number else "r", encoding="utf-8"))  # noqa: SIM115
        elif number and isinstance(stream, io.TextIOWrapper):
            errors = stream.errors if stream.errors in _ASKED_FOR else _HANDLER
            if type(stream) is io.TextIOWrapper and getattr(stream, "name", "") == f"<{name}>":
                stream.flush()
                opened.append(raw := Patient(number, "wb", closefd=False))
                binary: Any = raw if stream.write_through else io.BufferedWriter(cast(io.RawIOBase, raw))
                how: dict[str, Any] = {"line_buffering": stream.line_buffering, "write_through": stream.write_through}
                setattr(sys, name, io.TextIOWrapper(binary, stream.encoding, errors, **how))
            else:  # of somebody who collects what is printed
                stream.reconfigure(errors=errors)
    return opened


class Patient(io.FileIO):
    """A file of which no write fails: what nobody reads any more, or what there is no room for, is dropped.

    So a sweep does its runs whatever becomes of its terminal.

    Attributes:
        lost: Why something was dropped; None if all was written.
    """

    lost: OSError | None = None

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write what can be written, and claim to have written all."""
        try:
            return super().write(data)
        except OSError as error:
            self.lost = self.lost or error
            return len(data)


def _leave_ascii() -> None:
    """Start again in Python's UTF-8 mode where it takes arguments and file names for ASCII.

    That is LC_ALL=C with PYTHONUTF8=0. What is printed keeps the encoding of the terminal.
    """
    if codecs.lookup(sys.getfilesystemencoding()).name == "ascii" and not sys.flags.utf8_mode:
        encoding = getattr(sys.stdout, "encoding", "ascii")
        os.environ |= {"PYTHONUTF8": "1", "PYTHONIOENCODING": os.environ.get("PYTHONIOENCODING") or encoding}
        os.execv(sys.executable, sys.orig_argv)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What codecs ask for what they cannot encode."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_stand_in, error.object[error.start : error.end])), error.end


def _stand_in(character: str) -> str:
    kind, _, code = unicodedata.decomposition(character).partition(" ")
    if kind == "<super>" and chr(int(code, 16)).isascii():  # the mark of a footnote
        return f"^{chr(int(code, 16))}"
    return _PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode()


def end_quietly() -> None:
    """From now on SIGINT and SIGTERM end this process at once with 0: it writes nothing that could be lost."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # what is ignored from the start is for others
            signal.signal(number, _leave)


def watches(words: list[str]) -> bool:
    """Whether the words of ``dashboard`` ask to follow a sweep (``--watch``, as short as argparse takes it)."""
    return any(len(word) > 2 and "--watch".startswith(word) for word in words)


def _leave(*_: object) -> None:
    try:
        if os.isatty(1):
            os.write(1, b"\n")  # the prompt begins a line
    finally:
        os._exit(0)
