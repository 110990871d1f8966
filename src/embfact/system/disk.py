"""Sizes of files, and which folders are writable; imports the standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def bytes_below(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; files that vanish meanwhile are not counted."""
    files: Iterable[Path] = [path]
    if path.is_dir() and not path.is_symlink():
        files = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    total = 0
    for file in files:
        with suppress(OSError):
            total += file.lstat().st_size
    return total


def may_write(folder: Path) -> bool:
    """Whether this process can create files in a folder, or in its nearest existing parent."""
    folder = folder.absolute()
    try:
        while not folder.exists():
            folder = folder.parent
        return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    except OSError:  # no permission to look into a folder, or a name that is too long
        return False
