"""What a model costs where it is used: its bytes after compression for the way there, and the memory it takes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

import numpy as np
import torch
from torch import nn

from embfact.models.size import memory_key

ZSTD_LEVEL = 3  # the default of the command `zstd`; higher levels save hardly more and take a hundred times as long
BLOCK_BYTES = 2**23  # compressed at a time, so that no second model is in memory; more than the window of zstd


def zstd_bytes(tensors: Iterable[torch.Tensor]) -> int:
    """Bytes of tensors after zstd, each compressed by itself, as their bytes are in a safetensors file.

    Releases of zstd may differ by a few bytes.
    """
    import pyarrow as pa

    codec = pa.Codec("zstd", compression_level=ZSTD_LEVEL)
    return sum(len(codec.compress(block)) for tensor in tensors for block in _blocks(tensor))


def memory_bytes(modules: Iterable[nn.Module]) -> int:
    """Bytes of all tensors that modules hold: parameters, buffers and, saved or not, tables that were decoded once.

    A tensor that several of them share counts once.
    """
    held: dict[Hashable, int] = {}
    for module in modules:
        for part in module.modules():
            for tensor in _tensors(part):
                held[memory_key(tensor)] = tensor.numel() * tensor.element_size()
    return sum(held.values())


def _tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    """Tensors of a module itself, also those that are neither parameters nor buffers."""
    kept = [*module.parameters(recurse=False), *module.buffers(recurse=False), *vars(module).values()]
    return (tensor for tensor in kept if isinstance(tensor, torch.Tensor))


def _blocks(tensor: torch.Tensor) -> Iterator[np.ndarray]:
    raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return (raw[start : start + BLOCK_BYTES] for start in range(0, len(raw), BLOCK_BYTES))
