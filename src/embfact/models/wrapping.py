"""Models inside the wrappers of trainers and compilers."""

from __future__ import annotations

from typing import Any

from torch.nn import DataParallel
from torch.nn.parallel import DistributedDataParallel


def unwrapped(model: Any) -> Any:
    """The model inside of ``torch.compile``, DataParallel and DistributedDataParallel; anything else as it is."""
    if isinstance(model, DataParallel | DistributedDataParallel):
        return unwrapped(model.module)
    inner = getattr(model, "_orig_mod", None)
    return model if inner is None else unwrapped(inner)
