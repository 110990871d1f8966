"""Runs side by side on one machine, a process each.

A process does one run after another, so that its imports are paid once. One that dies (killed, out of memory) loses its
run: another takes its place, and the sweep goes on.
Light to import: no torch, which the processes import for themselves.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from typing import Any

from embfact.config.run_config import RunConfig
from embfact.errors import ErrorDetail
from embfact.launchers import slots
from embfact.launchers.base import OwnLauncher
from embfact.launchers.lost import lost
from embfact.launchers.progress import EVERY, Progress, Running
from embfact.launchers.slots import Slot
from embfact.launchers.sweep_task import SweepTask
from embfact.launchers.work import do_run
from embfact.launchers.worker import Work, Worker
from embfact.runs.accelerators import visible_gpus
from embfact.runs.outcome import Outcome
from embfact.runs.planned import PlannedRun
from embfact.runs.status import read_status
from embfact.system.cores import usable_cores
from embfact.system.signals import Interrupted

LEAVE = 10.0  # seconds that a worker without a run has to end
# Five seconds are promised after a signal, and this process itself is ended after four.
FIRST, SECOND = 3.2, 0.4


class ParallelLauncher(OwnLauncher):
    """Runs side by side, with the cores (and GPUs) of this machine divided among them.

    Args:
        runs: How many; None for as many as there are cores or, where they are trained on, GPUs.
    """

    on_this_machine = True

    def __init__(self, runs: int | None = None) -> None:
        self._runs = runs

    @classmethod
    def errors(cls, options: Mapping[str, Any], configs: Sequence[RunConfig]) -> list[ErrorDetail]:
        """More runs side by side than there are cores or GPUs for; see `OwnLauncher.errors`."""
        return slots.errors(options, configs, usable_cores(), visible_gpus(os.environ))

    def do_all(self, sweep: SweepTask) -> None:
        """Do every run of a sweep; see `OwnLauncher.do_all`."""
        configs = [run.config for run in sweep.runs]
        places = slots.lay_out(self._runs, configs, usable_cores(), visible_gpus(os.environ))
        Pool(sweep, places, do_run).run()


class Pool:
    """Workers, a slot each, and the runs that wait for them.

    Args:
        sweep: The runs, and where to report what came of them.
        places: A slot for each worker.
        work: What a worker does with a run: a function that can be imported.
    """

    def __init__(self, sweep: SweepTask, places: Sequence[Slot], work: Work) -> None:
        self._sweep, self._places, self._work = sweep, places, work
        self._waiting = deque(range(len(sweep.runs)))
        self._workers: list[Worker] = []
        self._dismissed: list[Worker] = []
        self._reason = ""  # why the last worker that could not start did not
        self._progress = Progress(len(sweep.runs), len(places))

    def run(self) -> None:
        """Do the runs, and leave no process behind.

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
        """Wait for news, but no longer than until the progress is to be drawn again."""
        now = time.monotonic()
        self._progress.show(
            [
                Running(self._sweep.runs[worker.number], now - worker.since, worker.pid)
                for worker in sorted(self._workers, key=lambda worker: worker.number or 0)
                if worker.number is not None
            ]
        )
        # Also where nothing is drawn: a worker may be dead and its connection be held open by a child of its own.
        wait([worker.connection for worker in self._workers], EVERY)
        for worker in [worker for worker in self._workers if worker.has_news()]:
            try:
                outcome = worker.hear()
            except EOFError:
                self._bury(worker)
                continue
            if worker.number is not None and outcome is not None:
                self._report(worker, outcome)
            self._feed(worker)

    def _feed(self, worker: Worker) -> None:
        """Give a worker the next run, or let it go."""
        if self._waiting and not self._sweep.stopped:
            number = self._waiting.popleft()
            worker.give(number, _within(self._sweep.runs[number], worker.slot.threads))
        else:
            self._workers.remove(worker)
            self._dismissed.append(worker)
            worker.dismiss()

    def _bury(self, worker: Worker) -> None:
        """Report the run of a dead worker, and put another in its place."""
        self._workers.remove(worker)
        code, words = worker.join(LEAVE), worker.last_lines()
        worker.close()
        if worker.number is not None:
            self._report(worker, lost(self._sweep.runs[worker.number], worker.pid, code, words))
        if not worker.ready:
            # Another one would fare no better.
            self._reason = f"exit code {code}" + (f": {words.splitlines()[-1].strip()}" if words else "")
        elif self._waiting and not self._sweep.stopped:
            self._start(worker.slot)

    def _report(self, worker: Worker, outcome: Outcome) -> None:
        number, worker.number = worker.number, None
        if number is None:
            return
        seconds = time.monotonic() - worker.since
        if outcome.record:  # without the imports, which are paid once
            seconds = min(seconds, outcome.record.seconds.total)
        self._progress.ended(seconds if outcome.state == "finished" else None)
        with self._progress.aside():
            self._sweep.report(number, outcome)

    def _report_unstarted(self) -> None:
        """What is left: the sweep was stopped, or there was no worker to give it to."""
        outcome = Outcome("unstarted")
        if not self._sweep.stopped:
            outcome = Outcome("failed", f"no process could be started for it ({self._reason})")
        for number in self._waiting:
            self._sweep.report(number, outcome)

    def _interrupt(self, signum: int) -> None:
        """Tell the workers to save what they have and end; end those that take too long."""
        workers = [*self._workers, *self._dismissed]
        for seconds in (FIRST, SECOND):
            for worker in workers:
                worker.signal(signum)  # the second one ends it at once
            deadline = time.monotonic() + seconds
            while any(worker.is_alive for worker in workers) and time.monotonic() < deadline:
                time.sleep(0.02)
        for worker in workers:
            code = worker.join(0)
            if worker.number is not None:
                lost(self._sweep.runs[worker.number], worker.pid, code if code >= 0 else 128 + signum)
            worker.close()


def _within(run: PlannedRun, threads: int) -> PlannedRun:
    """A run that takes no more threads than its share, also if it was begun with more.

    Otherwise the environment of the worker says how many, or an earlier attempt that it goes on from.
    """
    status = read_status(run.identity.directory) if run.identity else None
    if run.config.trainer.threads or status is None or (status.threads or 0) <= threads:
        return run
    return run.on_threads(threads)
