"""Removing run directories, or only their weights, but never one that a process is working in; imports no torch.

A directory is renamed before it is deleted: a half-deleted one is hidden and never taken for a run.
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
_DIRECTORY = re.compile(r".+-s\d+-[0-9a-f]{8}")  # the name of a run directory


def is_ours(run: RunState) -> bool:
    """Whether a directory is a run directory: judged by its files or, where these are damaged, by its name."""
    if run.state == "damaged" and not run.hash:
        return _DIRECTORY.fullmatch(run.directory.resolve().name) is not None
    return re.fullmatch("[0-9a-f]{64}", run.hash) is not None


def weights(run: RunState) -> list[Path]:
    """The folders of a run that hold weights: its checkpoint, and the state it would resume from."""
    return [path for path in (run.directory / CHECKPOINT, run.directory / RESUME) if path.is_dir()]


def prune(run: RunState, *, weights_only: bool = False) -> str | None:
    """Remove a run directory, or only its weights.

    Returns:
        None, or why nothing was removed: another process is using it, or it has changed since.

    Raises:
        OSError: If it cannot be removed.
    """
    directory = run.directory.resolve()
    lock = acquire(directory / LOCK)
    if lock is None:
        return "another process is working in it"
    with lock:
        now = look(directory, lock_is_ours=True)
        if now is None or (now.state, now.changed) != (run.state, run.changed):
            return "it has changed since it was listed"
        if weights_only:
            for folder in weights(run):
                # `tidy` knows this name, in case this process is killed here.
                _delete(folder, folder.with_name(f".{folder.name}-pruned"))
            return None
        _delete(directory, directory.with_name(f".{directory.name}{PRUNED}"))
    return None


def leftovers(folders: Iterable[Path]) -> list[Path]:
    """Directories that an interrupted `prune` renamed but did not delete, in the folders of the runs."""
    return sorted({path for folder in folders for path in folder.glob(f".*{PRUNED}") if path.is_dir()})


def _delete(folder: Path, hidden: Path) -> None:
    rmtree(hidden, ignore_errors=True)
    folder.rename(hidden)
    rmtree(hidden)
