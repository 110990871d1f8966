"""How much room files take, and where there may be more of them.

Light to import: the standard library only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def bytes_below(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; what vanishes meanwhile counts nothing."""
    if not path.is_dir() or path.is_symlink():
        return _bytes([path])
    return _bytes(Path(folder, name) for folder, _, names in os.walk(path) for name in names)


def _bytes(files: Iterable[Path]) -> int:
    total = 0
    for file in files:
        try:
            total += file.lstat().st_size
        except OSError:
            continue
    return total


def may_write(folder: Path) -> bool:
    """Whether a folder, or the nearest above it that is there, lets this process make files in it."""
    folder = folder.absolute()
    try:
        while not folder.exists():
            folder = folder.parent
        return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    except OSError:  # a folder that may not be looked into, or a name that is too long
        return False
