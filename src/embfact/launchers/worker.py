"""A process that does one run after another: what it does itself, and the handle of the process that feeds it.

It is a program of its own rather than a fork: its threads and its GPU are set before anything is imported, and the
imports are paid once for many runs. Light to import: no torch before the first run.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe

from embfact.launchers.slots import Slot
from embfact.runs.outcome import Outcome
from embfact.runs.planned import PlannedRun
from embfact.system.signals import Interrupted, interruptible
from embfact.system.terminal import open_streams

Work = Callable[[PlannedRun], Outcome]
READY = None  # what a worker sends first: it has started and waits for its first run
_WORDS = 4000  # bytes of what a worker printed that are worth keeping


class Worker:
    """A worker process, as the process that hands out the runs sees it.

    Args:
        slot: Its threads and its GPU.
        work: What it does with a run: a function that can be imported.

    Attributes:
        connection: Readable when there is news.
        number: The run that it does, or None.
        since: When it was given that run, by the clock of `time.monotonic`.
        ready: Whether it has ever waited for a run.

    Raises:
        OSError: If there is no memory, or no process, left for it.
    """

    def __init__(self, slot: Slot, work: Work) -> None:
        self.slot, self.since, self.ready = slot, 0.0, False
        self.number: int | None = None
        # Not a pipe, which would have to be emptied; without a name, so that nothing can be left behind.
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process lives)
        self.connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
                # Its end tells the worker that this process is gone; nothing is ever written to it.
                stdin=subprocess.PIPE,
                stdout=self._printed,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                # Ctrl-C reaches it once: from this process.
                start_new_session=True,
                env={**os.environ, **slot.environment},
            )
        with suppress(OSError):  # a worker that is dead already is heard of like any other
            self.connection.send(sys.path)
            self.connection.send(work)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def give(self, number: int, run: PlannedRun) -> None:
        """Have it do a run; it must have none."""
        self.number, self.since = number, time.monotonic()
        with suppress(OSError):
            self.connection.send(run)

    def hear(self) -> Outcome | None:
        """What it says; waits for it.

        Raises:
            EOFError: If it is dead.
        """
        if not self.is_alive and not self.connection.poll():
            raise EOFError  # a child of its own may hold the connection open
        try:
            message: Outcome | None = self.connection.recv()
        except OSError as error:
            raise EOFError from error
        self.ready = True
        return message

    def has_news(self) -> bool:
        """Whether it has said something, or is dead."""
        return not self.is_alive or self.connection.poll()

    def dismiss(self) -> None:
        """Let it end; it must have no run."""
        with suppress(OSError):
            self.connection.send(None)

    def signal(self, signum: int) -> None:
        """Send it a signal, if it lives."""
        self._process.send_signal(signum)

    def join(self, seconds: float) -> int:
        """Wait for its end, and kill it if that takes too long.

        Args:
            seconds: How long to wait at most.

        Returns:
            Its exit code, negative for the signal that killed it.
        """
        try:
            code = self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return code

    def last_lines(self) -> str:
        """The end of what it printed; runs have a log of their own."""
        descriptor = self._printed.fileno()
        # Not by seeking: the worker writes at the place that both processes share.
        words = os.pread(descriptor, _WORDS, max(0, os.fstat(descriptor).st_size - _WORDS))
        return words.decode(errors="replace").strip()

    def close(self) -> None:
        """Let go of a process that has ended."""
        self.connection.close()
        self._printed.close()
        if self._process.stdin:
            self._process.stdin.close()


def serve(connection: Connection) -> int:
    """Do the runs that come over a connection, until it says that there are no more.

    Returns:
        Exit code: 0, or 128 and the number of the signal that ended a run.
    """
    try:
        with interruptible():
            sys.path[:] = connection.recv()
            work: Work = connection.recv()
            connection.send(READY)
            while (run := connection.recv()) is not None:
                connection.send(work(run))
    except Interrupted as interrupted:
        return interrupted.exit_code
    return 0


def _end_with_parent() -> None:
    """End as SIGTERM does, once the process that hands out the runs is gone: nobody waits for them."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def main(words: list[str]) -> int:
    """The worker process: it is given the number of its end of the connection."""
    open_streams()
    faulthandler.enable()
    os.set_inheritable(int(words[0]), False)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    code = serve(Connection(int(words[0])))
    if code:
        os._exit(code)  # all is saved, and libraries would take their time to leave
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
