"""Parameters and bytes of tensors, in memory and in a safetensors file."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embfact.errors import ModelError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Size:
    """How much something takes.

    Attributes:
        parameters: Elements of the tensors with a floating dtype; codes and index maps are none.
        bytes: Bytes of all tensors, codes and index maps included.
    """

    parameters: int
    bytes: int


def saved_size(path: str | Path, names: Iterable[str] | None = None) -> Size:
    """The size of tensors in a safetensors file, read from its header alone.

    Args:
        path: The safetensors file.
        names: Tensors to count, each once; None counts all.

    Returns:
        Bytes are those of the tensors in the file, so its header is not counted.

    Raises:
        ModelError: If the file is no whole safetensors file, or lacks one of the names.
    """
    header = _header(Path(path))
    wanted = header.keys() if names is None else set(names)
    if missing := sorted(set(wanted) - header.keys()):
        raise ModelError(f"{path} has no tensor {missing[0]!r}; it is not the checkpoint of this model")
    entries = [header[name] for name in wanted]
    return Size(
        # The format's floating dtypes are F64, F32, F16, F8_E4M3, ... and BF16.
        parameters=sum(math.prod(entry["shape"]) for entry in entries if entry["dtype"].startswith(("F", "BF"))),
        bytes=sum(entry["data_offsets"][1] - entry["data_offsets"][0] for entry in entries),
    )


def model_size(model: nn.Module, names: Iterable[str] | None = None) -> Size:
    """The size that `saved_size` will find once the model is saved.

    Args:
        model: Any module.
        names: State-dict names to count; None counts all.
    """
    state = model.state_dict()
    tensors = [state[name] for name in (state if names is None else set(names))]
    return Size(
        parameters=sum(tensor.numel() for tensor in tensors if tensor.is_floating_point()),
        bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
    )


def _header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            # The length is checked first: in a file of another kind it can ask for more memory than there is.
            content = json.loads(file.read(length)) if length < path.stat().st_size else None
        entries = {name: entry for name, entry in content.items() if name != "__metadata__"}  # type: ignore[union-attr]
        end = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    except FileNotFoundError:
        raise ModelError(f"there is no file {path}; save the model first") from None
    except (OSError, struct.error, ValueError, AttributeError, KeyError, TypeError):
        raise ModelError(f"{path} is not a safetensors file; save or download it again") from None
    if end != path.stat().st_size:
        raise ModelError(f"{path} has {path.stat().st_size} bytes where its header says {end}; it was cut short")
    return entries
