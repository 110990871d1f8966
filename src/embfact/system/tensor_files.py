"""Tensor caches on disk: written atomically, and read completely or not at all."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from embfact.system.atomic import replacing_file

log = logging.getLogger(__name__)

CHECKSUM = "crc32"


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write contiguous CPU tensors to a safetensors file atomically; on a full disk, only log a warning."""
    try:
        with replacing_file(path) as temporary:
            save_file(dict(tensors), temporary, metadata={CHECKSUM: _checksum(tensors)})
    except (OSError, SafetensorError) as error:
        log.warning("could not write to the cache %s: %s", path.parent, error)


def read_tensors(path: Path) -> dict[str, torch.Tensor] | None:
    """The tensors of a file written by `write_tensors`; None if it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
            checksum = (file.metadata() or {}).get(CHECKSUM)
        if checksum == _checksum(tensors):
            return tensors
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError):
        pass
    log.warning("%s is damaged; recomputing it", path)
    return None


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    """A checksum to detect flipped bits: safetensors itself detects only truncated files."""
    value = 0
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), value)
        value = zlib.crc32(tensor.numpy().data, value)
    return str(value)
