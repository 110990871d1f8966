"""Before a sweep starts: mark its runs as pending, and clean up after killed processes; imports no torch."""

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
    """Write the status of new runs, and complete those whose process died after writing the record.

    Returns:
        Lines on damaged records, whose runs are repeated.
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
        # A directory that cannot be read or written fails its run later, when it starts.
        with suppress(OSError):
            if (directory / FILE_NAME).exists():
                try:
                    read(directory)
                except ModelError as error:
                    lines.append(f"{run.title} is repeated: {error}")
            elif run.status is None:
                _mark_pending(run, directory)
    return lines


def _settle(record: RunRecord, directory: Path) -> None:
    """Finish what a process that died after writing the record left undone: cleaning up, and correcting the status."""
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
