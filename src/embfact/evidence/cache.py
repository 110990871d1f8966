"""Gradient moments on disk: taken once for a backbone and some rows, and read by every other run of a sweep."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embfact.data.tokenized import Tokenized
from embfact.evidence.gradients import Moments
from embfact.system.tensor_files import read_tensors, write_tensors

FORMAT = 2  # raise it when the way the moments are taken changes: it is part of the file names


def cache_path(cache_dir: str | os.PathLike[str], decisive: Sequence[Any], rows: Tokenized) -> Path:
    """The file of some moments: ``evidence/<sha256>.safetensors``.

    The rows are known by their tokens and labels: whatever chose or changed them (the data, its splits, the tokenizer,
    the longest length) is in these.

    Args:
        cache_dir: Folder of the cache.
        decisive: JSON values of everything else that decides the moments.
        rows: The rows that the run trains on.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, *decisive], sort_keys=True).encode())
    for values in (rows.lengths, rows.tokens, rows.types, rows.labels):
        digest.update(b"none" if values is None else f"{values.dtype} {values.shape}".encode())
        digest.update(b"" if values is None else values.tobytes())
    return Path(cache_dir).expanduser() / "evidence" / f"{digest.hexdigest()}.safetensors"


def read(path: Path, vocab_size: int, width: int) -> Moments | None:
    """The moments of a cache file, or None if it is missing, damaged or of another shape.

    Args:
        path: The file.
        vocab_size: Rows V of the table.
        width: Columns H of the table.
    """
    found = read_tensors(path) or {}
    shapes = {"row_gradients": (vocab_size,), "gradient_metric": (width, width)}
    fits = {name: tuple(tensor.shape) for name, tensor in found.items()} == shapes
    return Moments(**found) if fits else None


def write(path: Path, moments: Moments) -> None:
    """Keep the moments for other runs; see `write_tensors`."""
    write_tensors(path, {"row_gradients": moments.row_gradients, "gradient_metric": moments.gradient_metric})
