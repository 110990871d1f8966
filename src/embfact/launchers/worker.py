"""A worker process that runs one run after another, and the handle by which the pool controls it.

It is a new program rather than a fork: its threads and its GPU are set before anything is imported, and the imports
happen once for many runs. Light to import: no torch before the first run.
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
from embfact.runs.planned import Outcome, PlannedRun
from embfact.system.signals import Interrupted, interruptible
from embfact.system.terminal import open_streams

Work = Callable[[PlannedRun], Outcome]
READY = None  # the first message of a worker: it has started and waits for a run
_TAIL = 4000  # bytes of a worker's output that are worth keeping


class Worker:
    """The pool's handle of a worker process.

    Args:
        slot: Its threads and its GPU.
        work: The function that runs a run; it must be importable.

    Attributes:
        connection: Readable when there is a message.
        number: The number of its run, or None.
        since: When it was given that run, by `time.monotonic`.
        ready: Whether it has ever been ready for a run.

    Raises:
        OSError: If no process can be started, e.g. for lack of memory.
    """

    def __init__(self, slot: Slot, work: Work) -> None:
        self.slot, self.since, self.ready = slot, 0.0, False
        self.number: int | None = None
        # Not a pipe, which would have to be drained; unnamed, so that nothing can be left behind.
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process lives)
        self.connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
                # Closed when this process ends, which tells the worker; nothing is ever written to it.
                stdin=subprocess.PIPE,
                stdout=self._printed,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                # So that Ctrl-C reaches it only once, through this process.
                start_new_session=True,
                env={**os.environ, **slot.environment},
            )
        with suppress(OSError):  # a worker that is dead already is noticed later like any other
            self.connection.send(sys.path)
            self.connection.send(work)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def assign(self, number: int, run: PlannedRun) -> None:
        """Give it a run; it must be idle."""
        self.number, self.since = number, time.monotonic()
        with suppress(OSError):
            self.connection.send(run)

    def receive(self) -> Outcome | None:
        """Wait for its next message.

        Raises:
            EOFError: If it is dead.
        """
        if not self.is_alive and not self.connection.poll():
            raise EOFError  # one of its children may keep the connection open
        try:
            message: Outcome | None = self.connection.recv()
        except OSError as error:
            raise EOFError from error
        self.ready = True
        return message

    def has_message(self) -> bool:
        """Whether there is a message, or it is dead."""
        return not self.is_alive or self.connection.poll()

    def dismiss(self) -> None:
        """Let it end; it must be idle."""
        with suppress(OSError):
            self.connection.send(None)

    def signal(self, signum: int) -> None:
        """Send it a signal if it is alive."""
        self._process.send_signal(signum)

    def join(self, seconds: float) -> int:
        """Wait for it to end, and kill it after some seconds.

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
        """The end of its output; runs have their own logs."""
        descriptor = self._printed.fileno()
        # Without seeking: the worker shares the file position.
        output = os.pread(descriptor, _TAIL, max(0, os.fstat(descriptor).st_size - _TAIL))
        return output.decode(errors="replace").strip()

    def close(self) -> None:
        """Release the resources of a process that has ended."""
        self.connection.close()
        self._printed.close()
        if self._process.stdin:
            self._process.stdin.close()


def serve(connection: Connection) -> int:
    """Run the runs that come over a connection, until there are no more.

    Returns:
        Exit code: 0, or 128 plus the number of the signal that ended a run.
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
    """Send SIGTERM to this process once the pool is gone: nobody waits for its runs."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def main(descriptor: int) -> int:
    """The worker process; `descriptor` is its end of the connection."""
    open_streams()
    faulthandler.enable()
    os.set_inheritable(descriptor, False)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    code = serve(Connection(descriptor))
    if code:
        os._exit(code)  # everything is saved, and libraries would take long to exit
    return code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
