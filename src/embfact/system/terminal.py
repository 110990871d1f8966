"""Printing to any terminal, whatever its encoding and even if its reader goes away.

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
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

from embfact.system.signals import leave

# Replacements for our own characters where an encoding lacks them; others become escapes such as \xe9.
_PLAIN = {"±": "+-", "\u2013": "-", "…": "...", "†": "^+", "\xa0": " "}
_HANDLER = "embfact.plain"
BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"  # of batches that are scored
Item = TypeVar("Item")
# Error handlers that the user must have chosen (PYTHONIOENCODING=ascii:replace).
_ASKED_FOR = ("ignore", "replace", "namereplace", "xmlcharrefreplace")


def as_command(main: Callable[[], int]) -> NoReturn:
    """Run `main` as a shell command: end the process with the exit code that it returns."""
    _leave_ascii()
    streams = open_streams()
    try:
        code = main()
    except SystemExit as left:  # from argparse, which has printed the reason
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    for lost in [stream.lost for stream in streams if stream.lost and stream.lost.errno != errno.EPIPE][:1]:
        code = code or 1
        print(f"{Path(sys.argv[0]).name}: output was lost ({lost.strerror})", file=sys.stderr, flush=True)
    leave(code)


def open_streams() -> list[LossyFile]:
    """Make the standard streams accept every character and outlive their readers; call it once in each process."""
    codecs.register_error(_HANDLER, _plain)
    opened = []
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:  # closed by the parent process: the next file to be opened would take its place
            setattr(sys, name, Path(os.devnull).open("w" if number else "r", encoding="utf-8"))  # noqa: SIM115
        elif number and isinstance(stream, io.TextIOWrapper):
            errors = stream.errors if stream.errors in _ASKED_FOR else _HANDLER
            if type(stream) is io.TextIOWrapper and getattr(stream, "name", "") == f"<{name}>":
                stream.flush()
                opened.append(raw := LossyFile(number, "wb", closefd=False))
                binary: Any = raw if stream.write_through else io.BufferedWriter(cast(io.RawIOBase, raw))
                how: dict[str, Any] = {"line_buffering": stream.line_buffering, "write_through": stream.write_through}
                setattr(sys, name, io.TextIOWrapper(binary, stream.encoding, errors, **how))
            else:  # replaced by a program that captures the output
                stream.reconfigure(errors=errors)
    return opened


class LossyFile(io.FileIO):
    """A file whose writes never fail: output without a reader, or without disk space, is dropped.

    A sweep therefore finishes whatever happens to its terminal.

    Attributes:
        lost: Why output was dropped; None if everything was written.
    """

    lost: OSError | None = None

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write what can be written, and claim to have written everything."""
        try:
            return super().write(data)
        except OSError as error:
            self.lost = self.lost or error
            return len(data)


def _leave_ascii() -> None:
    """Restart in Python's UTF-8 mode if it decodes arguments and file names as ASCII (LC_ALL=C with PYTHONUTF8=0).

    Output keeps the encoding of the terminal.
    """
    if codecs.lookup(sys.getfilesystemencoding()).name == "ascii" and not sys.flags.utf8_mode:
        encoding = getattr(sys.stdout, "encoding", "ascii")
        os.environ |= {"PYTHONUTF8": "1", "PYTHONIOENCODING": os.environ.get("PYTHONIOENCODING") or encoding}
        os.execv(sys.executable, sys.orig_argv)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """The codec error handler: replaces characters that cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_stand_in, error.object[error.start : error.end])), error.end


def _stand_in(character: str) -> str:
    kind, _, code = unicodedata.decomposition(character).partition(" ")
    if kind == "<super>" and chr(int(code, 16)).isascii():  # a footnote mark
        return f"^{chr(int(code, 16))}"
    return _PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode()


def progress(batches: Sequence[Item], title: str) -> Iterable[Item]:
    """The batches, with a bar on a terminal that disappears at the end; nothing is drawn in a file or a pipe."""
    from tqdm import tqdm

    return tqdm(batches, title, leave=False, disable=not sys.stderr.isatty(), dynamic_ncols=True, bar_format=BAR)


def end_quietly() -> None:
    """From now on, SIGINT and SIGTERM end this process at once with exit code 0: it has no output to lose."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # signals ignored from the start stay ignored
            signal.signal(number, _leave)


def end_at_once() -> None:
    """Until `interruptible` takes over, SIGINT ends this process at once with exit code 130: nothing has begun.

    A `KeyboardInterrupt` would end an import with a traceback, and a library may take it for an error of its own.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_at_once)


def _end_at_once(*_: Any) -> NoReturn:
    with suppress(OSError):
        os.write(2, b"embfact: interrupted before anything was started\n")
    os._exit(130)


def watches(arguments: list[str]) -> bool:
    """Whether the arguments of ``dashboard`` contain ``--watch``, possibly abbreviated."""
    return any(len(argument) > 2 and "--watch".startswith(argument) for argument in arguments)


def _leave(*_: object) -> None:
    try:
        if os.isatty(1):
            os.write(1, b"\n")  # so that the prompt starts on a new line
    finally:
        os._exit(0)
