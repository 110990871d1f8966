"""Removing what killed processes leave behind: lock files that nobody holds, and files that were never completed.

Only under the lock that guards them, so that nothing is taken from a process that is at work. Light to import.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

from embfact.config.sections import CHECKPOINT
from embfact.runs.status import LOCK, RESUME
from embfact.system.lock import acquire

CACHES = ("tokens", "evidence", "decompositions", "references")  # folders below the cache directory
_FOLDERS = (f".{CHECKPOINT}-", f".{RESUME}-")
# A cache file is named by a hash; its lock and its temporary neighbours begin with the same.
_STEM = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}")


def tidy(directory: Path) -> None:
    """Remove what a killed process has left in a run directory, unless another process is at work in it.

    What may not be removed stays: whoever needs the room, or writes there, meets the reason.

    Args:
        directory: A run directory; one that does not exist is left alone.
    """
    with suppress(OSError):
        if not (LOCK in os.listdir(directory) or any(_leftovers(directory))):  # noqa: PTH208
            return
        lock = acquire(directory / LOCK)
        if lock is None:
            return
        with lock:
            for path in list(_leftovers(directory)):
                if path.is_dir():
                    rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def tidy_caches(cache_dir: Path) -> None:
    """Remove what killed processes have left in the caches; see `tidy`."""
    for name in CACHES:
        with suppress(OSError):
            folder = cache_dir.expanduser() / name
            for file in [file for file in os.listdir(folder) if file.endswith((".tmp", ".lock"))]:  # noqa: PTH208
                tidy_cache_file(folder / file)


def tidy_cache_file(path: Path) -> None:
    """Remove a lock that nobody holds, or a temporary file that nobody is writing.

    Raises:
        OSError: If the folder cannot be written to.
    """
    stem = _STEM.match(path.name)
    lock = acquire(path.with_name(f"{stem.group()}.lock")) if stem else None
    if lock is None:
        return
    with lock:  # which removes the lock file itself
        if path.suffix == ".tmp":
            path.unlink(missing_ok=True)


def _leftovers(directory: Path) -> Iterator[Path]:
    """Temporary files of a run, ``*.tmp``, and temporary folders, ``.checkpoint-*``."""
    for folder in (directory, directory / RESUME):
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(_FOLDERS) if entry.is_dir() else entry.name.endswith(".tmp"):
                    yield Path(entry.path)
