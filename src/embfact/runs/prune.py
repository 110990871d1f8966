"""Removing run directories, or their weights alone, never under the hands of a process that is at work there.

A directory is renamed before it is deleted: what is half deleted is hidden, and is never taken for a run. Light to
import: no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from shutil import rmtree

from embfact.config.sections import CHECKPOINT
from embfact.runs.status import LOCK, RESUME
from embfact.runs.survey import RunState, look
from embfact.system.lock import acquire

PRUNED = ".pruned"
_DIRECTORY = re.compile(r".+-s\d+-[0-9a-f]{8}")  # how a run directory is called


def is_ours(run: RunState) -> bool:
    """Whether a directory is one of a run: what is in it says so, or where that is damaged, its name."""
    if run.state == "damaged" and not run.hash:
        return _DIRECTORY.fullmatch(run.directory.resolve().name) is not None
    return re.fullmatch("[0-9a-f]{64}", run.hash) is not None


def weights(run: RunState) -> list[Path]:
    """The folders of a run that hold weights: those it has kept, and those it would go on with."""
    return [path for path in (run.directory / CHECKPOINT, run.directory / RESUME) if path.is_dir()]


def prune(run: RunState, *, weights_only: bool = False) -> str | None:
    """Remove a run directory, or its weights.

    Args:
        run: The run as it was found.
        weights_only: Keep the directory with its record.

    Returns:
        None, or why nothing was removed: another process has it, or it has changed since.

    Raises:
        OSError: If it may not be removed.
    """
    directory = run.directory.resolve()
    lock = acquire(directory / LOCK)
    if lock is None:
        return "another process is at work in it"
    with lock:
        now = look(directory, lock_is_ours=True)
        if now is None or (now.state, now.changed) != (run.state, run.changed):
            return "it has changed since it was listed"
        if weights_only:
            for folder in weights(run):
                # A name that `tidy` knows, should this be the last that this process does.
                _delete(folder, folder.with_name(f".{folder.name}-pruned"))
            return None
        hidden = directory.with_name(f".{directory.name}{PRUNED}")
        _delete(directory, hidden)
    return None


def leftovers(folders: Iterable[Path]) -> list[Path]:
    """What an interrupted `prune` has renamed and not deleted, in the folders of the runs."""
    return sorted({path for folder in folders for path in folder.glob(f".*{PRUNED}") if path.is_dir()})


def _delete(folder: Path, hidden: Path) -> None:
    rmtree(hidden, ignore_errors=True)
    folder.rename(hidden)
    rmtree(hidden)
