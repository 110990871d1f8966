"""Shared by launchers that use several machines: checks, set-up of a process, and runs that are lost.

Light to import: neither torch nor an engine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from embfact.config.run_config import RunConfig
from embfact.config.sections import Section
from embfact.config.validation import errors_of
from embfact.errors import ErrorDetail
from embfact.runs.planned import Outcome, PlannedRun, finished_record
from embfact.runs.status import Status, read_status
from embfact.system.terminal import open_streams

PATIENCE = 3.0  # seconds that an interrupted sweep waits for its runs; after 4 it is ended itself


def option_errors(model: type[Section], options: Mapping[str, Any]) -> list[ErrorDetail]:
    """What is wrong with the options of a launcher, ignoring ``_target_``."""
    try:
        model.model_validate({name: value for name, value in options.items() if name != "_target_"})
    except ValidationError as error:
        return errors_of(error, model, "hydra.launcher.")
    return []


def share_errors(configs: Sequence[RunConfig], cpus: tuple[str, int], gpus: tuple[str, float]) -> list[ErrorDetail]:
    """Runs that ask for more CPUs or GPUs than the launcher's options (name, value) give to each."""
    errors = []
    for trainer in (config.trainer for config in configs):
        if trainer.threads and trainer.threads > cpus[1]:
            what = f"trainer.threads is more than the CPUs of a run, hydra.launcher.{cpus[0]}={cpus[1]}"
            remedy = f"set hydra.launcher.{cpus[0]}={trainer.threads}, or trainer.threads=null"
            errors.append(ErrorDetail(what, str(trainer.threads), remedy))
        if trainer.accelerator == "gpu" and trainer.devices > gpus[1] and (trainer.devices > 1 or gpus[1] == 0):
            what = f"trainer.accelerator=gpu trainer.devices={trainer.devices} needs as many GPUs for each run"
            remedy = f"set hydra.launcher.{gpus[0]}={trainer.devices}, or trainer=cpu"
            errors.append(ErrorDetail(what, f"hydra.launcher.{gpus[0]}={gpus[1]}", remedy))
    return errors


def with_threads(run: PlannedRun, cpus: int) -> PlannedRun:
    """The run with as many threads as CPUs, unless its configuration sets them; its hash stays the same."""
    return run if run.config.trainer.threads else run.on_threads(cpus)


def enter(folder: str, gpus: float) -> None:
    """Set up a process that an engine has started for a run with some GPUs; relative paths refer to the folder.

    Raises:
        OSError: If the folder does not exist on this machine.
    """
    open_streams()
    os.chdir(folder)
    if not gpus:  # engines do not hide the GPUs of others
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def attempts(run: PlannedRun) -> int:
    """How often a run was started, as far as this machine can tell."""
    status = _status(run)
    return status.attempt if status else 0


def missed(run: PlannedRun, before: int, reason: str) -> Outcome:
    """The outcome of a run whose process ended, for this reason, without reporting one.

    `before` is the number of its `attempts` when it was submitted.
    """
    status = _status(run)
    if run.identity and status and status.attempt > before:
        # It may have died between writing the record and the final status.
        record = finished_record(run.identity, run.config)
        if record and record.status == "finished":
            return Outcome("finished", record=record)
        if status.state in ("interrupted", "failed", "diverged"):
            return Outcome(status.state, status.message or reason)
    return Outcome("failed", reason)


def _status(run: PlannedRun) -> Status | None:
    return read_status(run.identity.directory) if run.identity else None
