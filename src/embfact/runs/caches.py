"""The caches that all runs share: where they are, how large, and emptying them.

Light to import: no torch.
"""

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
    """One cache as it is on disk.

    Attributes:
        name: tokens, evidence, decompositions or references.
        folder: Where it is.
        files: How many files it has.
        bytes: Their size.
    """

    name: str
    folder: Path
    files: int
    bytes: int


def default_cache_dir() -> Path:
    """Where the caches are unless ``paths.cache_dir`` says otherwise."""
    return Path(os.environ.get("EMBFACT_CACHE_DIR") or CACHE_DIR).expanduser()


def caches(cache_dir: Path) -> list[Cache]:
    """Every cache below a folder; one that was never used is empty."""
    found = []
    for name in CACHES:
        files = _files(cache_dir / name)
        found.append(Cache(name, cache_dir / name, len(files), sum(map(bytes_below, files))))
    return found


def empty(cache: Cache) -> tuple[int, int]:
    """Remove the files of a cache that no process is writing; those that are read stay readable until they are closed.

    Returns:
        How many were removed, and how many are being written.

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
    """What embfact has written there; nothing else is ever counted or removed."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.suffix in _SUFFIXES and file.is_file())
