"""SIGINT and SIGTERM: stop soon, save the state, and exit with the code that shells expect.

Lightning's own handling exits with 1, or 0. Here a signal raises `Interrupted` in the main thread at once; training
defers it (`held_back`), finishes its step, saves its state, and then raises it. If the main thread does not return to
Python within `GRACE` seconds (a decomposition, a hanging service), another thread ends the process: all files are
written atomically, so only the time since the last checkpoint is lost.

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
GRACE = 4.0  # seconds; the documentation promises five
TWIN = 1.0  # seconds within which a second signal counts as the same one


class Interrupted(BaseException):
    """A signal asked this process to stop; not an `Exception`, so that no handler mistakes it for a failure."""

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
    """The message of a command that was interrupted by a signal."""
    name = signal.Signals(signum).name
    return f"interrupted by {name}; finished work is kept; rerun the same command to resume"


class _State:
    """The signal state of this process; there is one main thread and therefore one state."""

    active = False
    taken: tuple[signal.Signals, ...] = ()
    requested: int | None = None
    holds = 0


_last_line: list[Callable[[str], object]] = []


def requested() -> int | None:
    """The signal that was received and has not been raised yet."""
    return _State.requested


def check() -> None:
    """Stop here if a signal was received while it was deferred.

    Raises:
        Interrupted: If so.
    """
    if _State.requested is not None and not _State.holds:
        answer()


def answer() -> NoReturn:
    """Raise the deferred signal.

    Raises:
        Interrupted: Always; with SIGTERM if only another rank has received a signal.
    """
    signum, _State.requested = _State.requested or signal.SIGTERM, None
    raise Interrupted(signum)


@contextmanager
def held_back() -> Iterator[None]:
    """Defer signals within a block, which may check `requested`; a pending signal is raised when it ends."""
    _State.holds += 1
    try:
        yield
    finally:
        _State.holds -= 1
    check()


@contextmanager
def last_lines(say: Callable[[str], object]) -> Iterator[None]:
    """Within the block, call `say` with the reason if another thread has to end this process."""
    _last_line.append(say)
    try:
        yield
    finally:
        _last_line.remove(say)


def end_process(code: int, reason: str) -> NoReturn:
    """End this process from any thread, whatever its main thread is doing, after calling the `last_lines`."""
    for say in list(_last_line):
        with suppress(Exception):
            say(reason)
    os._exit(code)


@contextmanager
def interruptible() -> Iterator[None]:
    """Handle SIGINT and SIGTERM within a block; a nested block, or one outside the main thread, does nothing."""
    if _State.active or threading.current_thread() is not threading.main_thread():
        yield
        return
    # Signals ignored from the start stay ignored: Ctrl-C is not for a background command.
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
    """End the process; after a signal at once, since the exit handlers of libraries may take too long."""
    if exit_code in {128 + signum for signum in SIGNALS}:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # the reader may be gone: Ctrl-C ends a whole pipeline
                stream.flush()
        os._exit(exit_code)
    sys.exit(exit_code)


def take_over() -> None:
    """Reinstall the handlers after a library has replaced them."""
    if _State.active and threading.current_thread() is threading.main_thread():
        for signum in _State.taken:
            signal.signal(signum, _handle)


def _handle(signum: int, _: FrameType | None) -> Any:
    _State.requested = signum
    check()


def _watch(reader: int, done: threading.Event) -> None:
    """End the process if it does not end in time after a signal, or at once after a second signal.

    A second signal within `TWIN` seconds is the same one arriving twice, from the terminal and from a parent process.

    The interpreter writes a signal's number to the wake-up file when it arrives, even while the main thread is busy
    outside Python, where no handler runs.
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
