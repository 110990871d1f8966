"""Linear layers through oneDNN on x86 processors, whose float32 products are a tenth faster than those torch takes."""

from __future__ import annotations

import os
import platform
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

# oneDNN prepares a product for each shape and keeps a thousand of them, half a megabyte each. Batches come in dozens of
# shapes; a step has one dozen. It reads this when it is first used.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")


def is_available() -> bool:
    """Whether this torch was built with oneDNN, for an x86 processor."""
    built = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return built and platform.machine() in ("x86_64", "AMD64")


def product(left: torch.Tensor, right: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """``left @ right.T + bias``.

    Args:
        left: Shape ``(..., i)``, float32.
        right: Shape ``(o, i)``, float32, in any order in memory.
        bias: Shape ``(o,)``, or None.
    """
    return torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")


class _Linear(torch.autograd.Function):
    """The operator has no gradient of its own: it was made for inference."""

    @staticmethod
    def forward(context: Any, values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        context.save_for_backward(values, weight)
        return product(values, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        values, weight = context.saved_tensors
        rows, inputs = gradient.reshape(-1, gradient.shape[-1]), values.reshape(-1, values.shape[-1])
        of_values, of_weight, of_bias = context.needs_input_grad
        return (
            product(rows, weight.t()).view(values.shape) if of_values else None,
            # The sum over all tokens is no faster there.
            rows.t() @ inputs if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


def forward(module: nn.Linear, values: torch.Tensor) -> torch.Tensor:
    """What ``nn.Linear.forward`` does, on a CPU; other numbers than float32 go the usual way."""
    single = values.dtype == module.weight.dtype == torch.float32
    if not single or torch.is_autocast_enabled("cpu"):
        return nn.functional.linear(values, module.weight, module.bias)
    return _Linear.apply(values, module.weight, module.bias)
