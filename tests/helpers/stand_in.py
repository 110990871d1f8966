"""Runs that only do what their tags say, and a sweep of them as a program of its own; no torch, so it is quick."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from embfact.config.compose import read_request
from embfact.launchers.parallel import Pool
from embfact.launchers.slots import Slot
from embfact.launchers.sweep_task import SweepTask
from embfact.runs.planned import Outcome, PlannedRun
from embfact.runs.status import LOCK, Status, write_status
from embfact.sweep.planner import make_plan
from embfact.system.lock import acquire
from embfact.system.signals import Interrupted, held_back, interruptible, last_lines
from tests.helpers.places import CONF

NOTES = "notes.txt"
NAMES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


def planned(folder: Path, *tags: str) -> list[PlannedRun]:
    """A run for each group of tags: ``"running sleep=1"``."""
    words = ["model=bert_scratch", "data=vader", "factorization=none", "baseline=false", f"output_dir={folder}"]
    seeds = ",".join(map(str, range(len(tags))))
    plan = make_plan(read_request(CONF, [*words, f"seed={seeds}"], multirun=True).configs)
    return [
        replace(run, config=run.config.model_copy(update={"tags": words.split()}))
        for run, words in zip(plan, tags, strict=True)
    ]


def work(run: PlannedRun) -> Outcome:
    """Note who does which run, and do what its tags say one after the other."""
    assert run.identity is not None
    directory = run.identity.directory
    note = [
        str(run.config.seed),
        str(os.getpid()),
        *(os.environ.get(name, "-") for name in NAMES),
        str(run.config.trainer.threads),
    ]
    with (directory.parent / NOTES).open("a") as notes:
        notes.write(" ".join(note) + "\n")
    with ExitStack() as stack:
        for tag in run.config.tags:
            verb, _, value = tag.partition("=")
            if verb == "running":
                stack.enter_context(_running(run))
            elif verb == "sleep":
                _sleep(run, float(value))
            elif verb == "stubborn":
                with held_back():
                    time.sleep(60)
            elif verb == "signal":
                os.kill(os.getpid(), int(value))
            elif verb == "raise":
                raise RuntimeError(value)
            else:
                return Outcome(verb, value)  # type: ignore[arg-type]
        return Outcome("finished")


def tell(run: PlannedRun, **values: object) -> None:
    """Say in the status of a run that this process is training it, or what is given."""
    assert run.identity is not None
    identity = run.identity
    place = {"host": socket.gethostname(), "pid": os.getpid()}
    values = {"state": "running", "phase": "training", "step": 3, "steps": 12} | place | values
    write_status(Status(name=identity.name, hash=identity.hash, **values), identity.directory)  # type: ignore[arg-type]


def _running(run: PlannedRun) -> ExitStack:
    """Hold the lock, and say in the status that the run is running."""
    assert run.identity is not None
    lock = acquire(run.identity.directory / LOCK)
    assert lock is not None
    tell(run)
    stack = ExitStack()
    stack.enter_context(lock)
    stack.enter_context(last_lines(lambda reason: tell(run, state="interrupted", message=reason)))
    return stack


def _sleep(run: PlannedRun, seconds: float) -> None:
    try:
        time.sleep(seconds)
    except Interrupted as interrupted:
        tell(run, state="interrupted", message=str(interrupted))
        raise


def main(folder: str, *tags: str) -> int:
    """A sweep on two slots."""
    runs = planned(Path(folder), *tags)
    try:
        with interruptible():
            Pool(SweepTask(runs), [Slot(1), Slot(1)], work).run()
    except Interrupted as interrupted:
        return interrupted.exit_code
    return 0


def notes(folder: Path) -> Sequence[list[str]]:
    """What the workers have noted: seed, process, the environment, and the threads that the run was told to take."""
    file = folder / NOTES
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The workers have to find the function by the name of this module.
    from tests.helpers import stand_in

    sys.exit(stand_in.main(*sys.argv[1:]))
