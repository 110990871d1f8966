"""Sizes of files, and which folders are writable; imports the standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory


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
    """Whether this process can create files in a folder, or a folder in its nearest existing parent.

    That is tried, since some file systems (/proc) refuse what the permissions allow.
    """
    there = folder.absolute()
    try:
        while not there.exists():
            there = there.parent
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            return False
        if there != folder.absolute():
            with TemporaryDirectory(prefix=".embfact-", dir=there):
                pass
        return True
    except OSError:  # no permission to look into a folder, or a name that is too long
        return False
