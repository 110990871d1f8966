"""What a job of submitit does: one run, and what the signals of a cluster mean to it.

Light to import: submitit is there where jobs are.
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
from embfact.runs.outcome import Outcome
from embfact.runs.planned import PlannedRun
from embfact.system.signals import Interrupted, interruptible

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission


@dataclass
class Job:
    """One run as a job, in the folder where the sweep was started.

    Attributes:
        work: What does the run.
        folder: Where relative paths of the configuration begin.
        gpus: GPUs of the job.
    """

    work: Work
    folder: str
    gpus: int

    def __call__(self, run: PlannedRun) -> Outcome:
        """Do the run, unless a signal ends it.

        A warning (SIGUSR2: the job is about to be preempted, or its time is over) stops the run as SIGTERM does, but
        leaves it all the time that there is; once its state is saved, submitit puts the job back into the queue. After
        a SIGTERM the job ends without a result: if it was preempted so, the cluster itself starts it again.
        """
        with suppress(OSError):  # Ctrl-C in the terminal of the sweep is for the sweep, which tells its jobs
            os.setpgid(0, 0)
        enter(self.folder, self.gpus)
        warned = False

        def stop(_: int, frame: FrameType | None) -> None:
            nonlocal warned
            warned = True
            answer = signal.getsignal(signal.SIGTERM)
            assert callable(answer)  # that of `interruptible`
            answer(signal.SIGTERM, frame)

        try:
            with interruptible(), handler(_warning(), stop):
                return self.work(run)
        except Interrupted as reason:
            if warned:
                signal.raise_signal(_warning())  # to submitit's own handler, which ends the process
            # At once: an interpreter with all these libraries takes seconds to end. The run has closed what it opened.
            os._exit(reason.exit_code)

    def checkpoint(self, run: PlannedRun) -> DelayedSubmission:
        """What is started when the job comes out of the queue again: the run finds its state by itself."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, run)


@contextmanager
def handler(signum: int, answer: Any) -> Iterator[None]:
    """Answer a signal otherwise within a block."""
    before = signal.signal(signum, answer)
    try:
        yield
    finally:
        signal.signal(signum, before)


def _warning() -> signal.Signals:
    from submitit import JobEnvironment

    return signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]
