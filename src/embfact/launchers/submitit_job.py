"""The body of a submitit job: one run, and how it answers the signals of a cluster.

Light to import: submitit is imported inside the job.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from embfact.launchers.remote import enter
from embfact.launchers.worker import Work
from embfact.runs.planned import Outcome, PlannedRun
from embfact.system.signals import Interrupted, interruptible

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission


@dataclass
class Job:
    """One run as a job with some GPUs, in the folder where the sweep was started; `work` runs it."""

    work: Work
    folder: str
    gpus: int

    def __call__(self, run: PlannedRun) -> Outcome:
        """Run the run, unless a signal ends it.

        A warning (SIGUSR2: the job is about to be preempted or out of time) stops the run as SIGTERM does, but without
        a deadline; once its state is saved, submitit requeues the job. After a SIGTERM the job ends without a result:
        if it was preempted that way, the cluster restarts it.
        """
        with suppress(OSError):  # Ctrl-C in the terminal is for the sweep only, which then tells its jobs
            os.setpgid(0, 0)
        enter(self.folder, self.gpus)
        warned = False

        def stop(_: int, frame: FrameType | None) -> None:
            nonlocal warned
            warned = True
            answer = signal.getsignal(signal.SIGTERM)
            assert callable(answer)  # the handler of `interruptible`
            answer(signal.SIGTERM, frame)

        try:
            with interruptible(), handler(_warning(), stop):
                return self.work(run)
        except Interrupted as reason:
            if warned:
                signal.raise_signal(_warning())  # to submitit's own handler, which ends the process
            # At once: the interpreter would take seconds to unload all libraries. The run has closed everything.
            os._exit(reason.exit_code)

    def checkpoint(self, run: PlannedRun) -> DelayedSubmission:
        """The job to start after a requeue: the run finds its state by itself."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, run)


@contextmanager
def handler(signum: int, answer: Any) -> Iterator[None]:
    """Replace the handler of a signal within a block."""
    before = signal.signal(signum, answer)
    try:
        yield
    finally:
        signal.signal(signum, before)


def _warning() -> signal.Signals:
    from submitit import JobEnvironment

    return signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]
