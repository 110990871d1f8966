"""What SIGINT and SIGTERM do: stop soon, keep what can be kept, and leave with the exit code that shells expect.

Lightning's own handling ends with exit code 1, or 0. Here a signal raises `Interrupted` in the main thread at once; a
training, which can be gone on with, holds it back (`held_back`), finishes its step, saves, and lets it go.
Code that does not come back to Python within `GRACE` seconds (a decomposition, a hanging service) is ended from another
thread: everything on disk is written in one step, so nothing is lost but the time since the last checkpoint.

Light to import: the standard library only.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 4.0  # seconds: five are promised
TWIN = 1.0


class Interrupted(BaseException):
    """A signal asked this process to stop. Not an `Exception`: no handler of failures may take it for one.

    Attributes:
        signum: The signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """What a shell expects: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.signum

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.signum).name}"


def describe_signal(signum: int) -> str:
    """What is told of a command that a signal has ended."""
    name = signal.Signals(signum).name
    return f"interrupted by {name}; what is done is kept, and the same command goes on from there"


class _State:
    """What this process knows of signals; there is one main thread, and so one state."""

    active = False
    taken: tuple[signal.Signals, ...] = ()
    requested: int | None = None
    holds = 0


_last_line: list[Callable[[str], object]] = []


def requested() -> int | None:
    """The signal that was received and has not been let go yet."""
    return _State.requested


def check() -> None:
    """Stop here if a signal was received while it was held back.

    Raises:
        Interrupted: If so.
    """
    if _State.requested is not None and not _State.holds:
        answer()


def answer() -> NoReturn:
    """Let go of what was held back: nothing else is to be done first.

    Raises:
        Interrupted: Always; by SIGTERM where this process itself has received nothing, but another device has.
    """
    signum, _State.requested = _State.requested or signal.SIGTERM, None
    raise Interrupted(signum)


@contextmanager
def held_back() -> Iterator[None]:
    """Let a block look at `requested` itself; what it has not answered when it ends is raised then."""
    _State.holds += 1
    try:
        yield
    finally:
        _State.holds -= 1
    check()


@contextmanager
def last_lines(say: Callable[[str], object]) -> Iterator[None]:
    """Within the block, call a function with the reason if this process has to be ended from another thread."""
    _last_line.append(say)
    try:
        yield
    finally:
        _last_line.remove(say)


def end_process(code: int, reason: str) -> NoReturn:
    """End this process from whatever thread, wherever its main thread is, once `last_lines` have been said."""
    for say in list(_last_line):
        with suppress(Exception):
            say(reason)
    os._exit(code)


@contextmanager
def interruptible() -> Iterator[None]:
    """Take SIGINT and SIGTERM over for a block; within another such block, or outside the main thread, do nothing."""
    if _State.active or threading.current_thread() is not threading.main_thread():
        yield
        return
    # What was to be ignored from the start stays ignored: Ctrl-C is not for a command in the background.
    before = {number: handler for number in SIGNALS if (handler := signal.getsignal(number)) != signal.SIG_IGN}
    _State.taken = tuple(before)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    _State.active, _State.requested, _State.holds = True, None, 0
    other = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    done = threading.Event()
    threading.Thread(target=_watch, args=(reader, done), name="interruption", daemon=True).start()
    take_over()
    try:
        yield
    finally:
        done.set()
        for signum, handler in before.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(other)
        _State.active = False
        os.close(writer)  # the watcher reads the end and closes its side


def leave(exit_code: int) -> NoReturn:
    """End the process; after a signal at once, since what libraries do at the end may take longer than is promised."""
    if exit_code in {128 + signum for signum in SIGNALS}:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # nobody may be reading any more: Ctrl-C ends a whole pipeline
                stream.flush()
        os._exit(exit_code)
    sys.exit(exit_code)


def take_over() -> None:
    """Install the handlers again, where a library has put its own in their place."""
    if _State.active and threading.current_thread() is threading.main_thread():
        for signum in _State.taken:
            signal.signal(signum, _handle)


def _handle(signum: int, _: FrameType | None) -> Any:
    _State.requested = signum
    check()


def _watch(reader: int, done: threading.Event) -> None:
    """End the process if it has not ended by itself in time after a signal, or at once after a second one of somebody.

    One that comes within `TWIN` seconds is the same again, by another way: from a terminal and from a parent.

    The interpreter's wake-up file gets the number of a signal the moment it arrives, also while the main thread is
    busy outside of Python, where no handler runs.
    """
    first, came = None, 0.0
    try:
        while byte := os.read(reader, 1):
            if byte[0] not in SIGNALS:
                continue
            if first is not None:
                if time.monotonic() - came > TWIN:
                    _end(first, "a second signal")
                continue
            first, came = byte[0], time.monotonic()
            threading.Thread(target=_end_later, args=(first, done), name="interruption-timer", daemon=True).start()
    finally:
        os.close(reader)


def _end_later(signum: int, done: threading.Event) -> None:
    if not done.wait(GRACE):
        _end(signum, f"{GRACE:.0f} seconds after {signal.Signals(signum).name}")


def _end(signum: int, reason: str) -> None:
    with suppress(OSError):
        os.write(2, f"embfact: {describe_signal(signum)}\n".encode())
    end_process(128 + signum, f"interrupted: ended by {reason}")
