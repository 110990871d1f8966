"""Runs as jobs by way of submitit, one each: a job that is lost is one run that is lost.

Here is what all kinds of jobs share, and the jobs of this machine; those of Slurm are in `slurm.py`. Light to import:
submitit is imported when the first job is made.
"""

from __future__ import annotations

import os
import signal
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from embfact.config.run_config import RunConfig
from embfact.config.sections import Section, Whole
from embfact.errors import ErrorDetail
from embfact.launchers.base import OwnLauncher
from embfact.launchers.extras import extra_errors
from embfact.launchers.remote import PATIENCE, attempts, missed, option_errors, share_errors, with_threads
from embfact.launchers.submitit_job import Job, handler
from embfact.launchers.sweep_task import SweepTask
from embfact.launchers.work import do_run
from embfact.runs.outcome import Outcome
from embfact.runs.planned import PlannedRun
from embfact.system.cores import usable_cores

if TYPE_CHECKING:
    import submitit


FOLDER = ".submitit"  # below the directories of the runs


class JobOptions(Section):
    """What every job is asked for with."""

    folder: str | None = Field(description="where submitit keeps the logs of the jobs, seen by all machines")
    timeout_min: Whole = Field(description="minutes after which a job is stopped, and goes on from its checkpoint")
    max_num_timeout: int = Field(ge=0, description="how often a job whose time is over goes back to the queue")
    cpus_per_task: Whole = Field(description="CPUs of a run, and its threads")


class LocalOptions(JobOptions):
    """Jobs of this machine."""

    array_parallelism: Whole | None = Field(description="jobs at once; null: as many as the cores allow")


class SubmititLauncher(OwnLauncher):
    """Runs as jobs of submitit; its subclasses say whose jobs they are.

    Attributes:
        Options: What it is configured with.
        name: What it is chosen by, ``hydra/launcher=name``.
        poll: Seconds between two looks at the jobs.
        grace: Seconds in which the result of a job that has ended may still come into sight.
    """

    process_tree_each = True
    Options: ClassVar[type[JobOptions]]
    name: ClassVar[str]
    poll: ClassVar[float]
    grace: ClassVar[float]

    def __init__(self, **options: Any) -> None:
        self.options = self.Options.model_validate(options)
        self._attempts: dict[int, int] = {}  # of each run, when its job was handed over
        self._ended: dict[str, float] = {}  # since when a job without a result is known to have ended

    @classmethod
    def errors(cls, options: Mapping[str, Any], configs: Sequence[RunConfig]) -> list[ErrorDetail]:
        """A package that is missing, options that are wrong, runs that want more than their share."""
        found = extra_errors("submitit", "slurm", f"hydra/launcher={cls.name}")
        found += option_errors(cls.Options, options)
        if not found:
            gpus = options.get("gpus_per_node", 0)
            found += share_errors(configs, ("cpus_per_task", options["cpus_per_task"]), ("gpus_per_node", gpus))
        return found

    def do_all(self, sweep: SweepTask) -> None:
        """Do every run of a sweep; see `OwnLauncher.do_all`."""
        waiting = deque(range(len(sweep.runs)))
        jobs: dict[int, submitit.Job[Outcome]] = {}
        try:
            while jobs or (waiting and not sweep.stopped):
                room = 0 if sweep.stopped else min(self._room(len(jobs), len(sweep.runs)), len(waiting))
                if room > 0:
                    jobs |= self._submit(sweep, [waiting.popleft() for _ in range(room)])
                self._collect(jobs, sweep)
                time.sleep(self.poll if jobs else 0)
        except BaseException:
            self._cancel(list(jobs.values()))
            raise
        for number in waiting:
            sweep.report(number, Outcome("unstarted"))

    def _submit(self, sweep: SweepTask, numbers: Sequence[int]) -> dict[int, submitit.Job[Outcome]]:
        """The jobs of some runs, handed over."""
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        runs = [with_threads(sweep.runs[number], self.options.cpus_per_task) for number in numbers]
        folder = self.options.folder or str(Path(runs[0].config.output_dir) / FOLDER)
        self._attempts |= {number: attempts(sweep.runs[number]) for number in numbers}
        try:
            jobs = self._executor(folder).map_array(Job(do_run, str(Path.cwd()), self._gpus), runs)
        except (FailedJobError, FailedSubmissionError) as error:
            for number in numbers:
                sweep.report(number, Outcome("failed", f"its job was not taken: {_last_line(str(error))}"))
            return {}
        return dict(zip(numbers, jobs, strict=True))

    def _collect(self, jobs: dict[int, submitit.Job[Outcome]], sweep: SweepTask) -> None:
        """Report the jobs that have ended, and forget them."""
        for number, job in list(jobs.items()):
            outcome = self._outcome(job, sweep.runs[number], self._attempts[number], sweep.stopped)
            if outcome is None:
                continue
            del jobs[number]
            before = sweep.stopped
            sweep.report(number, outcome)
            if sweep.stopped and not before:
                self._drop_waiting(list(jobs.values()))

    def _outcome(self, job: submitit.Job[Outcome], run: PlannedRun, before: int, stopped: bool) -> Outcome | None:
        """What came of a job; None as long as that is not known."""
        if not job.done():
            self._ended.pop(job.job_id, None)  # it may have gone back to the queue
            return None
        if job.paths.result_pickle.exists():
            with suppress(Exception):  # it raised, or what it has left cannot be read
                return job.result()
            reason = "its job failed"
        elif time.monotonic() - self._ended.setdefault(job.job_id, time.monotonic()) < self.grace:
            return None
        elif stopped and self._was_cancelled(job) and attempts(run) == before:
            return Outcome("unstarted")
        else:
            reason = self._end_of(job)
        words = _last_line(job.stderr() or "")
        return missed(run, before, f"{reason}{f': {words}' if words else ''} (log of the job: {job.paths.stderr})")

    @property
    def _gpus(self) -> int:
        return 0

    @abstractmethod
    def _executor(self, folder: str) -> submitit.AutoExecutor:
        """What jobs are handed to, with a folder for their logs."""

    @abstractmethod
    def _room(self, active: int, runs: int) -> int:
        """How many more jobs may be handed over while some are active, in a sweep of so many runs."""

    @abstractmethod
    def _cancel(self, jobs: Sequence[submitit.Job[Outcome]]) -> None:
        """Have all jobs stop; if they are stopped by this process, wait until they have stopped."""

    def _drop_waiting(self, jobs: Sequence[submitit.Job[Outcome]]) -> None:
        """Take back the jobs that have not begun."""

    def _was_cancelled(self, job: submitit.Job[Outcome]) -> bool:
        """Whether a job was taken back."""
        return False

    def _end_of(self, job: submitit.Job[Outcome]) -> str:
        """How a job that has no result has ended, in words."""
        return "its process was killed"


class LocalLauncher(SubmititLauncher):
    """Runs as jobs of this machine, a process each."""

    on_this_machine = True
    Options = LocalOptions
    name = "submitit_local"
    poll = 0.2
    grace = 0.0
    options: LocalOptions

    def _executor(self, folder: str) -> submitit.AutoExecutor:
        import submitit

        most = self.options.max_num_timeout
        executor = submitit.AutoExecutor(folder, cluster="local", local_max_num_timeout=most)
        executor.update_parameters(timeout_min=self.options.timeout_min)
        return executor

    def _room(self, active: int, runs: int) -> int:
        most = self.options.array_parallelism or usable_cores() // self.options.cpus_per_task
        return max(1, most) - active

    def _submit(self, sweep: SweepTask, numbers: Sequence[int]) -> dict[int, submitit.Job[Outcome]]:
        # The process that submitit starts beside each job would end it a second after a Ctrl-C in the terminal.
        with handler(signal.SIGINT, signal.SIG_IGN):
            return super()._submit(sweep, numbers)

    def _cancel(self, jobs: Sequence[submitit.Job[Outcome]]) -> None:
        for job in jobs:
            with suppress(ProcessLookupError):
                os.kill(int(job.job_id), signal.SIGTERM)  # the process beside the job, which passes it on
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not all(job.done() for job in jobs):
            time.sleep(0.05)


def _last_line(words: str) -> str:
    lines = words.strip().splitlines()
    return lines[-1].strip() if lines else ""
