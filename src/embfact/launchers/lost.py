"""What came of a run whose process died before it could say so.

Light to import: no torch.
"""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from typing import Literal

from embfact.runs.outcome import Outcome
from embfact.runs.planned import PlannedRun
from embfact.runs.record import is_finished, read
from embfact.runs.status import LOCK, read_status, write_status
from embfact.system.lock import acquire
from embfact.system.signals import SIGNALS


def lost(run: PlannedRun, pid: int, code: int, words: str = "") -> Outcome:
    """What came of a run; if its status still says that it is running, that is put right.

    Args:
        run: The run; it has an identity.
        pid: The process that did it, which is gone.
        code: Its exit code, negative for the signal that killed it.
        words: What it printed last; they are kept in the log of the run.
    """
    state: Literal["failed", "interrupted"] = (
        "interrupted" if code in [128 + number for number in SIGNALS] else "failed"
    )
    outcome = Outcome(state, f"{_reason(code, words)}; {_remedy(run)}")
    with suppress(OSError):  # a disk that is full: the next start of the sweep sees by the lock that nobody runs it
        return _settle(run, pid, outcome, words)
    return outcome


def _settle(run: PlannedRun, pid: int, outcome: Outcome, words: str) -> Outcome:
    """Put the status right, and say what came of the run if the dead process has said it there."""
    assert run.identity is not None
    directory = run.identity.directory
    status = read_status(directory)
    if status is None or (status.pid, status.host) != (pid, socket.gethostname()):
        return outcome  # it had not begun
    lock = acquire(directory / LOCK)
    if lock is None:
        return outcome  # another sweep has taken it up already
    with lock:
        # It may have died between the record and the last word of its status.
        if is_finished(directory, run.identity.hash):
            write_status(status.now(state="finished", message=None), directory)
            return Outcome("finished", record=read(directory))
        if status.state == "running":
            write_status(status.now(state=outcome.state, message=outcome.message), directory)
            with (directory / "log.txt").open("a", encoding="utf-8") as log:
                log.write("\n".join([outcome.message, *([words] if words else [])]) + "\n")
        elif status.state in ("failed", "diverged", "interrupted"):
            return Outcome(status.state, status.message or "")
    return outcome


def _reason(code: int, words: str) -> str:
    if code in [128 + number for number in SIGNALS]:
        return f"its process was ended by {signal.Signals(code - 128).name}"
    if code < 0:
        guess = " (out of memory?)" if -code == signal.SIGKILL else f" ({signal.Signals(-code).name})"
        return f"its process was killed by signal {-code}{guess}"
    last = f": {words.splitlines()[-1].strip()}" if words else ""
    return f"its process ended with exit code {code}{last}"


def _remedy(run: PlannedRun) -> str:
    return "the same command goes on with it" + (" from its last checkpoint" if run.config.resume else "")
