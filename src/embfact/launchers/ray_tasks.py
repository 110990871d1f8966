"""Runs as Ray tasks, on this machine or on the nodes of a cluster.

A task whose node or process dies is restarted elsewhere. Light to import: Ray is imported with the first run.
"""

from __future__ import annotations

import os
import signal
import socket
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from embfact.config.run_config import RunConfig
from embfact.config.sections import Section, Whole
from embfact.errors import ErrorDetail, extra_errors
from embfact.launchers.base import OwnLauncher
from embfact.launchers.remote import PATIENCE, attempts, enter, missed, option_errors, share_errors, with_threads
from embfact.launchers.sweep_task import SweepTask
from embfact.launchers.work import do_run
from embfact.launchers.worker import Work
from embfact.log import say
from embfact.runs.planned import Outcome, PlannedRun
from embfact.system.signals import Interrupted, held_back, interruptible

if TYPE_CHECKING:
    import ray

LOOK = 0.5  # seconds between two looks at signals and at the nodes, which come and go


class RayOptions(Section):
    """The cluster, and what each run gets of it."""

    address: str | None = Field(description="HOST:PORT of a cluster, or auto; null: start one on this machine")
    cpus_per_run: Whole = Field(description="CPUs per run, and its threads")
    gpus_per_run: float = Field(ge=0, description="GPUs per run, may be a fraction")
    at_once: Whole | None = Field(description="runs handed to Ray at once; null: as many as its nodes have room for")
    max_retries: int = Field(ge=0, description="how often a run is restarted when its node or its process dies")
    init: dict[str, Any] = Field(description="other arguments of ray.init")


class UnreachableError(Exception):
    """Ray cannot be started or reached."""


class PreemptedError(Exception):
    """The process of a run was asked to end, but not by the sweep: the run resumes elsewhere."""


class RayLauncher(OwnLauncher):
    """Runs as Ray tasks; its arguments are those of `RayOptions`."""

    def __init__(self, **options: Any) -> None:
        self.options = RayOptions.model_validate(options)
        self._warned = False

    @classmethod
    def errors(cls, options: Mapping[str, Any], configs: Sequence[RunConfig]) -> list[ErrorDetail]:
        """A missing package, invalid options, or runs that need more than their share."""
        found = extra_errors("ray", "ray", "hydra/launcher=ray") + option_errors(RayOptions, options)
        if not found:
            cpus, gpus = options["cpus_per_run"], options["gpus_per_run"]
            found += share_errors(configs, ("cpus_per_run", cpus), ("gpus_per_run", gpus))
        return found

    def do_all(self, sweep: SweepTask) -> None:
        """Run every run of a sweep; see `OwnLauncher.do_all`."""
        waiting = deque(range(len(sweep.runs)))
        before = [attempts(run) for run in sweep.runs]
        tasks: dict[ray.ObjectRef, int] = {}
        outcome = Outcome("unstarted")
        try:
            with _connected(self.options):
                try:
                    while tasks or (waiting and not sweep.stopped):
                        # Ray's code would swallow the exception of a signal.
                        with held_back():
                            self._hand_out(sweep, waiting, tasks)
                            for task in _ended(tasks):
                                number = tasks.pop(task)
                                sweep.report(number, _outcome(task, sweep.runs[number], before[number]))
                except BaseException:
                    _cancel(list(tasks))
                    raise
        except UnreachableError as error:
            outcome = Outcome("failed", str(error))
        for number in waiting:
            sweep.report(number, outcome)

    def _hand_out(self, sweep: SweepTask, waiting: deque[int], tasks: dict[ray.ObjectRef, int]) -> None:
        """Start tasks for as many waiting runs as there is room for."""
        room = 0 if sweep.stopped or not waiting else self._room() - len(tasks)
        for number in [waiting.popleft() for _ in range(min(room, len(waiting)))]:
            tasks[self._start(sweep.runs[number])] = number

    def _room(self) -> int:
        """How many runs may be with Ray at once, including running ones."""
        if self.options.at_once:
            return self.options.at_once
        import ray

        cpus, gpus = self.options.cpus_per_run, self.options.gpus_per_run
        places = 0
        for node in ray.nodes():
            if node["Alive"]:
                fitting = node["Resources"].get("CPU", 0) // cpus
                places += int(min(fitting, node["Resources"].get("GPU", 0) // gpus) if gpus else fitting)
        if not places and not self._warned:
            self._warned = True
            say(f"no Ray node has {cpus} CPUs" + (f" and {gpus:g} GPUs" if gpus else "") + ": waiting for one")
        return max(1, places)

    def _start(self, run: PlannedRun) -> ray.ObjectRef:
        import ray

        options = self.options
        task: Any = ray.remote(in_task).options(
            num_cpus=options.cpus_per_run,
            num_gpus=options.gpus_per_run,
            max_retries=options.max_retries,
            retry_exceptions=[PreemptedError],
        )
        return task.remote(do_run, str(Path.cwd()), options.gpus_per_run, with_threads(run, options.cpus_per_run))


def in_task(work: Work, folder: str, gpus: float, run: PlannedRun) -> Outcome:
    """The body of a task with some GPUs: one run, in the folder where the sweep was started.

    Raises:
        PreemptedError: If its process was told to end; its state is saved, and Ray restarts it elsewhere.
    """
    enter(folder, gpus)
    try:
        with interruptible():
            return work(run)
    except Interrupted as reason:
        if reason.signum == signal.SIGINT:  # how Ray cancels a task
            return Outcome("interrupted", str(reason))
        raise PreemptedError(str(reason)) from None


@contextmanager
def _connected(options: RayOptions) -> Iterator[None]:
    """Start Ray or connect to it for a block, without its usage reports and its signal handler.

    Raises:
        UnreachableError: If that fails.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    place = (
        {"address": "local", "include_dashboard": False} if options.address is None else {"address": options.address}
    )
    try:
        _knock(options.address)
        ray.init(**{**place, "log_to_driver": False, "logging_level": "error", **options.init})
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        where = f"at {options.address}" if options.address else "on this machine"
        raise UnreachableError(f"Ray cannot be used {where}: {_first_line(error)}") from None
    finally:
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Check that a server is listening: Ray itself would try for a quarter of an hour.

    Raises:
        OSError: If none is.
    """
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _ended(tasks: Mapping[ray.ObjectRef, int]) -> list[ray.ObjectRef]:
    """The tasks that have ended, after waiting `LOOK` seconds for the first."""
    import ray

    ready, _ = ray.wait(list(tasks), num_returns=len(tasks), timeout=0)
    return ready or ray.wait(list(tasks), num_returns=1, timeout=LOOK)[0]


def _outcome(task: ray.ObjectRef, run: PlannedRun, before: int) -> Outcome:
    import ray

    try:
        outcome: Outcome = ray.get(task)
    except ray.exceptions.RayTaskError as error:  # from the task itself; runs do not raise
        return missed(run, before, f"its task failed: {error.cause}")
    except ray.exceptions.RayError as error:
        return missed(run, before, f"its task was lost: {_first_line(error)}")
    return outcome


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


def _cancel(tasks: Sequence[ray.ObjectRef]) -> None:
    """Interrupt all tasks, and wait until they have saved their state."""
    import ray

    for task in tasks:
        ray.cancel(task)
    if tasks:
        ray.wait(list(tasks), num_returns=len(tasks), timeout=PATIENCE)
