"""Cleaning up: lock files and incomplete files of killed processes, and the caches that all runs share.

Only under the lock that guards them, so that no working process loses anything. Light to import: no torch.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from embfact.config.sections import CACHE_DIR, CHECKPOINT
from embfact.runs.status import LOCK, RESUME
from embfact.system.disk import bytes_below
from embfact.system.lock import acquire

CACHES = ("tokens", "evidence", "decompositions", "references")  # folders below the cache directory
_SUFFIXES = (".arrow", ".safetensors", ".tmp")
_FOLDERS = (f".{CHECKPOINT}-", f".{RESUME}-")
# The lock and the temporary files of a cache file start with its name, a hash.
_STEM = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}")


def tidy(directory: Path) -> None:
    """Remove what a killed process left in a run directory, unless the directory is in use or does not exist.

    Errors are ignored here: whoever writes there next reports them.
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
    """Remove what killed processes left in the caches; see `tidy`."""
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
    with lock:  # releasing it removes the lock file
        if path.suffix == ".tmp":
            path.unlink(missing_ok=True)


def _leftovers(directory: Path) -> Iterator[Path]:
    """Temporary files (``*.tmp``) and folders (``.checkpoint-*``) of a run."""
    for folder in (directory, directory / RESUME):
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(_FOLDERS) if entry.is_dir() else entry.name.endswith(".tmp"):
                    yield Path(entry.path)


@dataclass(frozen=True)
class Cache:
    """One cache on disk.

    Attributes:
        name: tokens, evidence, decompositions or references.
        folder: Its folder.
        files: Number of files.
        bytes: Their total size.
    """

    name: str
    folder: Path
    files: int
    bytes: int


def default_cache_dir() -> Path:
    """The default of ``paths.cache_dir``."""
    return Path(os.environ.get("EMBFACT_CACHE_DIR") or CACHE_DIR).expanduser()


def caches(cache_dir: Path) -> list[Cache]:
    """Every cache below a folder; unused ones are empty."""
    found = []
    for name in CACHES:
        files = _files(cache_dir / name)
        found.append(Cache(name, cache_dir / name, len(files), sum(map(bytes_below, files))))
    return found


def empty(cache: Cache) -> tuple[int, int]:
    """Remove the files of a cache except those being written; a file that is open stays readable until it is closed.

    Returns:
        The number of files removed, and of those being written.

    Raises:
        OSError: If the folder cannot be written to.
    """
    removed = busy = 0
    for file in _files(cache.folder):
        if file.suffix == ".tmp":
            tidy_cache_file(file)
            continue
        lock = acquire(file.with_suffix(".lock"))
        if lock is None:
            busy += 1
            continue
        with lock:
            file.unlink(missing_ok=True)
            removed += 1
    return removed, busy


def _files(folder: Path) -> list[Path]:
    """The files that embfact wrote; no others are counted or removed."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.suffix in _SUFFIXES and file.is_file())
