"""Runs as submitit jobs, one each: a lost job is one lost run.

This module has what all kinds of jobs share, and jobs on this machine; `slurm.py` has Slurm jobs. Light to import:
submitit is imported with the first job.
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
from embfact.errors import ErrorDetail, extra_errors
from embfact.launchers.base import OwnLauncher
from embfact.launchers.remote import PATIENCE, attempts, missed, option_errors, share_errors, with_threads
from embfact.launchers.submitit_job import Job, handler
from embfact.launchers.sweep_task import SweepTask
from embfact.launchers.work import do_run
from embfact.runs.planned import Outcome, PlannedRun
from embfact.system.cores import usable_cores

if TYPE_CHECKING:
    import submitit


FOLDER = ".submitit"  # below the directories of the runs


class JobOptions(Section):
    """Options of all jobs."""

    folder: str | None = Field(description="folder for the logs of the jobs, visible from all machines")
    timeout_min: Whole = Field(description="minutes after which a job is stopped, to resume from its checkpoint")
    max_num_timeout: int = Field(ge=0, description="how often a job that is out of time is requeued")
    cpus_per_task: Whole = Field(description="CPUs per run, and its threads")


class LocalOptions(JobOptions):
    """Options of jobs on this machine."""

    array_parallelism: Whole | None = Field(description="jobs at once; null: as many as the cores allow")


class SubmititLauncher(OwnLauncher):
    """Runs as submitit jobs; subclasses define the kind of job.

    Attributes:
        Options: Its options.
        name: Its name, as in ``hydra/launcher=name``.
        poll: Seconds between two looks at the jobs.
        grace: Seconds within which the result of an ended job may still become visible.
    """

    process_tree_each = True
    Options: ClassVar[type[JobOptions]]
    name: ClassVar[str]
    poll: ClassVar[float]
    grace: ClassVar[float]

    def __init__(self, **options: Any) -> None:
        self.options = self.Options.model_validate(options)
        self._attempts: dict[int, int] = {}  # of each run, when its job was submitted
        self._ended: dict[str, float] = {}  # when a job was first seen to have ended without a result

    @classmethod
    def errors(cls, options: Mapping[str, Any], configs: Sequence[RunConfig]) -> list[ErrorDetail]:
        """A missing package, invalid options, or runs that need more than their share."""
        found = extra_errors("submitit", "slurm", f"hydra/launcher={cls.name}")
        found += option_errors(cls.Options, options)
        if not found:
            gpus = options.get("gpus_per_node", 0)
            found += share_errors(configs, ("cpus_per_task", options["cpus_per_task"]), ("gpus_per_node", gpus))
        return found

    def do_all(self, sweep: SweepTask) -> None:
        """Run every run of a sweep; see `OwnLauncher.do_all`."""
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
        """Submit jobs for some runs."""
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        runs = [with_threads(sweep.runs[number], self.options.cpus_per_task) for number in numbers]
        folder = self.options.folder or str(Path(runs[0].config.output_dir) / FOLDER)
        self._attempts |= {number: attempts(sweep.runs[number]) for number in numbers}
        try:
            jobs = self._executor(folder).map_array(Job(do_run, str(Path.cwd()), self._gpus), runs)
        except (FailedJobError, FailedSubmissionError) as error:
            for number in numbers:
                sweep.report(number, Outcome("failed", f"its job could not be submitted: {_last_line(str(error))}"))
            return {}
        return dict(zip(numbers, jobs, strict=True))

    def _collect(self, jobs: dict[int, submitit.Job[Outcome]], sweep: SweepTask) -> None:
        """Report the jobs that have ended, and remove them."""
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
        """The outcome of a job; None until it is known."""
        if not job.done():
            self._ended.pop(job.job_id, None)  # it may have been requeued
            return None
        if job.paths.result_pickle.exists():
            with suppress(Exception):  # it raised, or its result cannot be read
                return job.result()
            reason = "its job failed"
        elif time.monotonic() - self._ended.setdefault(job.job_id, time.monotonic()) < self.grace:
            return None
        elif stopped and job.state.startswith("CANCELLED") and attempts(run) == before:
            return Outcome("unstarted")
        elif self.on_this_machine:
            reason = "its process was killed"
        else:
            reason = f"its job ended without a result ({job.state})"
        output = _last_line(job.stderr() or "")
        return missed(run, before, f"{reason}{f': {output}' if output else ''} (log of the job: {job.paths.stderr})")

    @property
    def _gpus(self) -> int:
        return 0

    @abstractmethod
    def _executor(self, folder: str) -> submitit.AutoExecutor:
        """An executor with a folder for the logs of its jobs."""

    @abstractmethod
    def _room(self, active: int, runs: int) -> int:
        """How many more jobs may be submitted while some are active, in a sweep of this many runs."""

    @abstractmethod
    def _cancel(self, jobs: Sequence[submitit.Job[Outcome]]) -> None:
        """Stop all jobs; if they are processes of this machine, wait until they have stopped."""

    def _drop_waiting(self, jobs: Sequence[submitit.Job[Outcome]]) -> None:
        """Cancel the jobs that have not started."""


class LocalLauncher(SubmititLauncher):
    """Runs as jobs on this machine, one process each."""

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
        # submitit's controller process would end its job a second after Ctrl-C in the terminal.
        with handler(signal.SIGINT, signal.SIG_IGN):
            return super()._submit(sweep, numbers)

    def _cancel(self, jobs: Sequence[submitit.Job[Outcome]]) -> None:
        for job in jobs:
            with suppress(ProcessLookupError):
                os.kill(int(job.job_id), signal.SIGTERM)  # the controller process, which passes it on
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not all(job.done() for job in jobs):
            time.sleep(0.05)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
