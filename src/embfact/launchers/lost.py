"""The outcome of a run whose process died before it could report one; imports no torch."""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from typing import Literal

from embfact.runs.planned import Outcome, PlannedRun
from embfact.runs.record import is_finished, read
from embfact.runs.status import LOCK, read_status, write_status
from embfact.system.lock import acquire
from embfact.system.signals import SIGNALS


def lost(run: PlannedRun, pid: int, code: int, output: str = "") -> Outcome:
    """The outcome of a run; if its status still says that it is running, the status is corrected.

    Args:
        run: The run; it has an identity.
        pid: The dead process.
        code: Its exit code, negative for the signal that killed it.
        output: The end of its output, which is appended to the log of the run.
    """
    state: Literal["failed", "interrupted"] = (
        "interrupted" if code in [128 + number for number in SIGNALS] else "failed"
    )
    checkpoint = " from its last checkpoint" if run.config.resume else ""
    outcome = Outcome(state, f"{_reason(code, output)}; rerun the same command to resume it{checkpoint}")
    with suppress(OSError):  # a full disk: the next start of the sweep sees from the lock that the run is not running
        return _settle(run, pid, outcome, output)
    return outcome


def _settle(run: PlannedRun, pid: int, outcome: Outcome, output: str) -> Outcome:
    """Correct the status; returns the outcome that the dead process noted there, if any."""
    assert run.identity is not None
    directory = run.identity.directory
    status = read_status(directory)
    if status is None or (status.pid, status.host) != (pid, socket.gethostname()):
        return outcome  # it had not started the run
    lock = acquire(directory / LOCK)
    if lock is None:
        return outcome  # another sweep is running it already
    with lock:
        # It may have died between writing the record and the final status.
        if is_finished(directory, run.identity.hash):
            write_status(status.now(state="finished", message=None), directory)
            return Outcome("finished", record=read(directory))
        if status.state == "running":
            write_status(status.now(state=outcome.state, message=outcome.message), directory)
            with (directory / "log.txt").open("a", encoding="utf-8") as log:
                log.write("\n".join([outcome.message, *([output] if output else [])]) + "\n")
        elif status.state in ("failed", "diverged", "interrupted"):
            return Outcome(status.state, status.message or "")
    return outcome


def _reason(code: int, output: str) -> str:
    if code in [128 + number for number in SIGNALS]:
        return f"its process was ended by {signal.Signals(code - 128).name}"
    if code < 0:
        guess = " (out of memory?)" if -code == signal.SIGKILL else f" ({signal.Signals(-code).name})"
        return f"its process was killed by signal {-code}{guess}"
    last = f": {output.splitlines()[-1].strip()}" if output else ""
    return f"its process ended with exit code {code}{last}"
