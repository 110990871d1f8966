"""Caches of tensors on disk: written in one step, and read whole or not at all."""

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
    """Keep tensors in a safetensors file; a disk that is full costs the file alone.

    They go to a temporary neighbour that is renamed, so that a process beside never reads half a file.

    Args:
        path: The file; its folder is made.
        tensors: Contiguous tensors on the CPU.
    """
    try:
        with replacing_file(path) as temporary:
            save_file(dict(tensors), temporary, metadata={CHECKSUM: _checksum(tensors)})
    except (OSError, SafetensorError) as error:
        log.warning("nothing could be kept in %s: %s", path.parent, error)


def read_tensors(path: Path) -> dict[str, torch.Tensor] | None:
    """The tensors of a file that `write_tensors` wrote, or None if it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
            checksum = (file.metadata() or {}).get(CHECKSUM)
        if checksum == _checksum(tensors):
            return tensors
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError):
        pass
    log.warning("%s is damaged; it is computed again", path)
    return None


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    """What tells flipped bits: safetensors itself notices only a file that was cut short."""
    value = 0
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), value)
        value = zlib.crc32(tensor.numpy().data, value)
    return str(value)
