"""Before a sweep starts: every run that is to be done says so in its directory, and leftovers of dead processes go.

Light to import: no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from embfact.errors import ModelError
from embfact.lifecycle.life import pending
from embfact.lifecycle.lock import acquire
from embfact.lifecycle.status import LOCK, write_status
from embfact.records.config_file import write_config
from embfact.records.record import FILE_NAME, read
from embfact.sweep import PlannedRun


def announce(runs: Sequence[PlannedRun]) -> list[str]:
    """Write the status of runs that are done for the first time.

    Args:
        runs: Runs that are to be done.

    Returns:
        What is to be said of them: records that are damaged, so that their runs are done again.
    """
    lines = []
    for run in runs:
        if run.identity is None:
            continue
        directory = run.identity.directory
        if (directory / FILE_NAME).exists():
            try:
                read(directory)
            except ModelError as error:
                lines.append(f"{run.title} is done again: {error}")
        elif run.status is None:
            _announce(run, directory)
    return lines


def _announce(run: PlannedRun, directory: Path) -> None:
    try:
        lock = acquire(directory / LOCK)
        if lock is None or run.identity is None:
            return
        with lock:
            write_config(run.config, directory)
            write_status(pending(run.identity), directory)
    except OSError:  # a directory that cannot be written to fails its run, in words, when its turn comes
        return
