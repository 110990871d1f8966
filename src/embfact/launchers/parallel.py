"""Parallel runs on one machine, in worker processes.

A worker runs one run after another, so that it imports everything only once. If it dies (killed, out of memory), only
its run is lost: another worker replaces it. Light to import: the workers import torch.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any, Literal

from embfact.config.run_config import RunConfig
from embfact.errors import ErrorDetail
from embfact.launchers import slots
from embfact.launchers.base import OwnLauncher
from embfact.launchers.progress import EVERY, Progress, Running
from embfact.launchers.slots import Slot
from embfact.launchers.sweep_task import SweepTask
from embfact.launchers.work import do_run
from embfact.launchers.worker import Work, Worker
from embfact.runs.accelerators import visible_gpus
from embfact.runs.planned import Outcome, PlannedRun
from embfact.runs.record import is_finished, read
from embfact.runs.status import LOCK, read_status, write_status
from embfact.system.cores import usable_cores
from embfact.system.lock import acquire
from embfact.system.signals import SIGNALS, Interrupted

LEAVE = 10.0  # seconds in which an idle worker must end
# Seconds after the first and the second signal: five are promised, and this process itself is ended after four.
FIRST, SECOND = 3.2, 0.4


class ParallelLauncher(OwnLauncher):
    """Parallel runs, with the cores (and GPUs) of this machine divided among them.

    Args:
        runs: How many at once; None for as many as there are GPUs or, for training on the CPU, cores.
    """

    on_this_machine = True

    def __init__(self, runs: int | None = None) -> None:
        self._runs = runs

    @classmethod
    def errors(cls, options: Mapping[str, Any], configs: Sequence[RunConfig]) -> list[ErrorDetail]:
        """More parallel runs than there are cores or GPUs for; see `OwnLauncher.errors`."""
        return slots.errors(options, configs, usable_cores(), visible_gpus(os.environ))

    def do_all(self, sweep: SweepTask) -> None:
        """Run every run of a sweep; see `OwnLauncher.do_all`."""
        configs = [run.config for run in sweep.runs]
        places = slots.lay_out(self._runs, configs, usable_cores(), visible_gpus(os.environ))
        Pool(sweep, places, do_run).run()


class Pool:
    """Workers, one per slot, and the runs that wait for them; `work`, an importable function, runs one in a worker."""

    def __init__(self, sweep: SweepTask, places: Sequence[Slot], work: Work) -> None:
        self._sweep, self._places, self._work = sweep, places, work
        self._waiting = deque(range(len(sweep.runs)))
        self._workers: list[Worker] = []
        self._dismissed: list[Worker] = []
        self._reason = ""  # why a worker could not start
        self._progress = Progress(len(sweep.runs), len(places))
        sweep.time_left = self._time_left

    def run(self) -> None:
        """Run everything, and leave no process behind.

        Raises:
            Interrupted: After the workers have ended.
        """
        try:
            for slot in self._places:
                self._start(slot)
            while self._workers:
                self._listen()
        except BaseException as error:
            self._progress.close()
            self._interrupt(error.signum if isinstance(error, Interrupted) else signal.SIGINT)
            raise
        self._progress.close()
        for worker in self._dismissed:
            worker.join(LEAVE)
            worker.close()
        self._report_unstarted()

    def _start(self, slot: Slot) -> None:
        try:
            self._workers.append(Worker(slot, self._work))
        except OSError as error:
            self._reason = str(error)

    def _listen(self) -> None:
        """Wait for messages, at most until the progress is due to be redrawn."""
        now = time.monotonic()
        self._progress.show(
            [
                Running(self._sweep.runs[worker.number], now - worker.since, worker.pid)
                for worker in sorted(self._workers, key=lambda worker: worker.number or 0)
                if worker.number is not None
            ]
        )
        # With a timeout even if nothing is drawn: a child of a dead worker may keep its connection open.
        wait([worker.connection for worker in self._workers], EVERY)
        for worker in [worker for worker in self._workers if worker.has_message()]:
            try:
                outcome = worker.receive()
            except EOFError:
                self._replace(worker)
                continue
            if worker.number is not None and outcome is not None:
                self._report(worker, outcome)
            self._assign(worker)

    def _assign(self, worker: Worker) -> None:
        """Give a worker the next run, or dismiss it."""
        if self._waiting and not self._sweep.stopped:
            number = self._waiting.popleft()
            worker.assign(number, _within(self._sweep.runs[number], worker.slot.threads))
        else:
            self._workers.remove(worker)
            self._dismissed.append(worker)
            worker.dismiss()

    def _replace(self, worker: Worker) -> None:
        """Report the run of a dead worker, and replace the worker."""
        self._workers.remove(worker)
        code, output = worker.join(LEAVE), worker.last_lines()
        worker.close()
        if worker.number is not None:
            self._report(worker, lost(self._sweep.runs[worker.number], worker.pid, code, output))
        if not worker.ready:
            # It never started, and neither would another one.
            self._reason = f"exit code {code}" + (f": {output.splitlines()[-1].strip()}" if output else "")
        elif self._waiting and not self._sweep.stopped:
            self._start(worker.slot)

    def _report(self, worker: Worker, outcome: Outcome) -> None:
        number, worker.number = worker.number, None
        if number is None:
            return
        seconds = time.monotonic() - worker.since
        if outcome.record:  # without the time of the imports, which happen only once
            seconds = min(seconds, outcome.record.seconds.total)
        self._progress.ended(seconds if outcome.state == "finished" else None)
        with self._progress.aside():
            self._sweep.report(number, outcome)

    def _time_left(self) -> float | None:
        now = time.monotonic()
        return self._progress.left([now - worker.since for worker in self._workers if worker.number is not None])

    def _report_unstarted(self) -> None:
        """Report the remaining runs: the sweep was stopped, or no worker was left."""
        outcome = Outcome("unstarted")
        if not self._sweep.stopped:
            outcome = Outcome("failed", f"no process could be started for it ({self._reason})")
        for number in self._waiting:
            self._sweep.report(number, outcome)

    def _interrupt(self, signum: int) -> None:
        """Tell the workers to save their state and end; kill those that take too long."""
        workers = [*self._workers, *self._dismissed]
        for seconds in (FIRST, SECOND):
            for worker in workers:
                worker.signal(signum)  # the second signal ends it at once
            deadline = time.monotonic() + seconds
            while any(worker.is_alive for worker in workers) and time.monotonic() < deadline:
                time.sleep(0.02)
        for worker in workers:
            code = worker.join(0)
            if worker.number is not None:
                lost(self._sweep.runs[worker.number], worker.pid, code if code >= 0 else 128 + signum)
            worker.close()


def _within(run: PlannedRun, threads: int) -> PlannedRun:
    """The run with at most this many threads, even if an earlier attempt had more.

    Without that, the number comes from the environment of the worker or from the earlier attempt.
    """
    status = read_status(run.identity.directory) if run.identity else None
    if run.config.trainer.threads or status is None or (status.threads or 0) <= threads:
        return run
    return run.on_threads(threads)


def lost(run: PlannedRun, pid: int, code: int, output: str = "") -> Outcome:
    """The outcome of a run whose process died; if its status still says that it is running, the status is corrected.

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
