"""Parameters and bytes of tensors, in memory and in a safetensors file."""

from __future__ import annotations

import json
import struct
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embfact.embeddings.layout import Size
from embfact.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn


def unique_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state dict with each tensor only under its first name, however many modules share it.

    These are the tensors, and the names, of a checkpoint.

    Raises:
        ModelError: If a part of the model keeps its weights in something other than tensors.
    """
    names: dict[Hashable, str] = {}
    state = model.state_dict(keep_vars=True)
    for name, tensor in state.items():
        if not hasattr(tensor, "data_ptr"):
            raise ModelError(
                f"{name} of this {type(model).__name__} is not a tensor but a {type(tensor).__name__}, as after "
                "quantize_dynamic; measure and save the model before quantizing it, and quantize the loaded model"
            )
        names.setdefault(memory_key(tensor), name)
    return {name: state[name] for name in names.values()}


def memory_key(tensor: torch.Tensor) -> Hashable:
    """A value that two tensors share only if they are one: the same memory, read in the same way."""
    if tensor.is_meta or not tensor.numel():
        return id(tensor)
    return tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def saved_bytes(path: str | Path, names: Iterable[str] | None = None) -> int:
    """Bytes of tensors in a safetensors file, read from its header, which itself is not counted.

    Args:
        path: The safetensors file.
        names: Tensors to count, each once; None counts all.

    Raises:
        ModelError: If the file is not a complete safetensors file, or lacks one of the names.
    """
    header = _header(Path(path))
    wanted = header.keys() if names is None else set(names)
    if missing := sorted(set(wanted) - header.keys()):
        raise ModelError(f"{path} has no tensor {missing[0]!r}; it is not the checkpoint of this model")
    offsets = [header[name]["data_offsets"] for name in wanted]
    return sum(end - start for start, end in offsets)


def tensor_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the floating-point tensors in a safetensors file, read from its header.

    Raises:
        ModelError: If the file is not a complete safetensors file.
    """
    header = _header(Path(path))
    return {name: tuple(entry["shape"]) for name, entry in header.items() if entry["dtype"].startswith(("F", "BF"))}


def model_size(model: nn.Module, names: Iterable[str] | None = None) -> Size:
    """Parameters of a module, however they are stored, and their bytes when saved.

    Args:
        model: Any module; weights shared by several of its parts count once.
        names: Names of `unique_tensors` to count; None counts all.
    """
    from embfact.embeddings.rows import Rows

    state = unique_tensors(model)
    wanted = list(state) if names is None else list(dict.fromkeys(names))
    parameters = {name: state[name].numel() if state[name].is_floating_point() else 0 for name in wanted}
    for owner, rows in model.named_modules():
        prefix = f"{owner}." if owner else ""
        if isinstance(rows, Rows) and f"{prefix}codes" in parameters:
            parameters |= {f"{prefix}codes": rows.count * rows.width, f"{prefix}scales": 0}
    return Size(sum(parameters.values()), sum(state[name].numel() * state[name].element_size() for name in wanted))


def _header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            # The length is checked first: in another kind of file it can exceed the memory.
            content = json.loads(file.read(length)) if length < path.stat().st_size else None
        entries = {name: entry for name, entry in content.items() if name != "__metadata__"}  # type: ignore[union-attr]
        end = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    except FileNotFoundError:
        raise ModelError(f"there is no file {path}; save the model first") from None
    except (OSError, struct.error, ValueError, AttributeError, KeyError, TypeError):
        raise ModelError(f"{path} is not a safetensors file; save or download it again") from None
    if end != path.stat().st_size:
        raise ModelError(f"{path} has {path.stat().st_size} bytes where its header says {end}; it is truncated")
    return entries
