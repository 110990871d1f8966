"""The caches that all runs share: where they are, how large they are, and how to empty them; imports no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from embfact.config.sections import CACHE_DIR
from embfact.runs.tidy import CACHES, tidy_cache_file
from embfact.system.disk import bytes_below
from embfact.system.lock import acquire

_SUFFIXES = (".arrow", ".safetensors", ".tmp")


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
