"""Before a sweep starts: every run that is to be done says so in its directory, and what dead processes left goes.

Light to import: no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

from embfact.config.sections import CHECKPOINT
from embfact.errors import ModelError
from embfact.runs.config_file import write_config
from embfact.runs.life import pending
from embfact.runs.planned import PlannedRun
from embfact.runs.record import FILE_NAME, RunRecord, read
from embfact.runs.status import LOCK, RESUME, read_status, write_status
from embfact.runs.tidy import tidy, tidy_caches
from embfact.system.lock import acquire


def prepare(plan: Sequence[PlannedRun]) -> list[str]:
    """Write the status of runs that are done for the first time, and settle those that ended in the last moment.

    Args:
        plan: All runs of a sweep.

    Returns:
        What is to be said of them: records that are damaged, so that their runs are done again.
    """
    lines = []
    for folder in {run.config.paths.cache_dir for run in plan}:
        tidy_caches(Path(folder))
    for run in plan:
        if run.identity is None:
            continue
        directory = run.identity.directory
        tidy(directory)
        if run.record and not run.elsewhere:
            _settle(run.record, directory)
        if run.record:
            continue
        # A directory that may not be read or written fails its run, in words, when its turn comes.
        with suppress(OSError):
            if (directory / FILE_NAME).exists():
                lines += [f"{run.title} is done again: {detail}" for detail in _damage(directory)]
            elif run.status is None:
                _mark_pending(run, directory)
    return lines


def _damage(directory: Path) -> list[str]:
    """What is wrong with the record that is there; nothing, if it can be read."""
    try:
        read(directory)
    except ModelError as error:
        return [str(error)]
    return []


def _settle(record: RunRecord, directory: Path) -> None:
    """A process that died after it had written the record has left what was to go, and a status that is not true."""
    status = read_status(directory)
    unwanted = [directory / RESUME]
    if record.status == "finished" and record.config.get("checkpoint") == "none":
        unwanted.append(directory / CHECKPOINT)
    if (status is None or status.state == record.status) and not any(folder.exists() for folder in unwanted):
        return
    with suppress(OSError):
        lock = acquire(directory / LOCK)
        if lock:
            with lock:
                for folder in unwanted:
                    rmtree(folder, ignore_errors=True)
                if status:
                    message = record.error.message if record.error else None
                    write_status(status.now(state=record.status, message=message), directory)


def _mark_pending(run: PlannedRun, directory: Path) -> None:
    lock = acquire(directory / LOCK)
    if lock is None or run.identity is None:
        return
    with lock:
        write_config(run.config, directory)
        write_status(pending(run.identity), directory)
