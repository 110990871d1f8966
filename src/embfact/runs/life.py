"""The status of one run while it runs, written to its status file at every change; imports no torch."""

from __future__ import annotations

import logging
import math
import os
import secrets
import socket
import time
from pathlib import Path
from typing import SupportsFloat

from embfact.runs.identity import Identity
from embfact.runs.status import Phase, State, Status, read_status, write_status
from embfact.system.ranks import rank

log = logging.getLogger(__name__)

EVERY = 2.0  # seconds between two reports of steps: often enough to watch, too rare to cost anything


_WITHIN_TRAINING: tuple[Phase, ...] = ("training", "checkpointing")


def pending(identity: Identity) -> Status:
    """The status of a planned run."""
    return Status(name=identity.name, hash=identity.hash, state="pending", science=identity.science)


class Life:
    """Reports the progress of a run. Only the process that holds the lock of the run directory may have one.

    Args:
        identity: The run.
        afresh: Ignore earlier attempts.

    Attributes:
        status: The status as it was last written.
    """

    def __init__(self, identity: Identity, *, afresh: bool = False) -> None:
        self.directory: Path = identity.directory
        found = read_status(self.directory)
        if found is None or found.hash != identity.hash or (afresh and found.state != "pending"):
            found = pending(identity)
        self._before = found.seconds
        self._start = self._written = time.monotonic()
        self._pace: tuple[float, int] | None = None  # when the first step of this attempt was done, and which
        self._loss: SupportsFloat | None = None  # of the last step
        self.status = found.now(
            state="running",
            phase="loading",
            attempt=found.attempt + 1,
            host=socket.gethostname(),
            pid=os.getpid(),
            message=None,
            loss=None,
            seconds_left=None,
            published=None,  # the new result is not there yet
            # The same id in every attempt: W&B continues the curve.
            wandb_id=found.wandb_id or secrets.token_hex(4),
        )
        self._write()

    def enter(self, phase: Phase) -> None:
        """Start a phase."""
        log.info("%s", phase)
        known = self.status.seconds_left if phase in _WITHIN_TRAINING else None
        self._write(phase=phase, seconds_left=known)

    def use(self, threads: int) -> None:
        """Note the number of threads, which later attempts keep."""
        self._write(threads=threads)

    def step(self, step: int, steps: int | None, loss: SupportsFloat | None = None, *, now: bool = False) -> None:
        """Note how many of how many optimizer steps are done; written every `EVERY` seconds, or now.

        Args:
            step: Steps done.
            steps: Steps in all, if known.
            loss: Of this step; read only if it is written, since a device has to be waited for. None keeps the last.
            now: Write it now.
        """
        # Part of whatever is written next, such as the phase of a checkpoint.
        self.status = self.status.model_copy(update={"step": step, "steps": steps})
        moment = time.monotonic()
        self._pace = self._pace or (moment, step)
        self._loss = self._loss if loss is None else loss
        if now or moment - self._written >= EVERY:
            value = math.nan if self._loss is None else float(self._loss)
            told = {"loss": value} if math.isfinite(value) else {}
            self._write(**told, seconds_left=self._left(moment, step, steps))

    def _left(self, moment: float, step: int, steps: int | None) -> float | None:
        """Seconds until the last step at the pace since the first step of this attempt; None if unknown."""
        start, first = self._pace or (moment, step)
        if steps is None or step <= first:
            return None
        return round((moment - start) / (step - first) * (steps - step), 1)

    def end(self, state: State, message: str | None = None) -> None:
        """Note how the attempt ended; if that cannot be written, the record and the released lock still tell."""
        self._write(state=state, message=message, seconds_left=None)

    def _write(self, **changes: object) -> None:
        self._written = time.monotonic()
        self.status = self.status.now(**changes, seconds=round(self._before + self._written - self._start, 3))
        if rank():  # another process of the same training, which has a copy
            return
        try:
            write_status(self.status, self.directory)
        except OSError as error:  # a full disk stops the run where it needs the space, not here
            log.warning("the status could not be written: %s", error)
