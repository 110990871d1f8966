"""Linear layers through oneDNN on x86 processors, whose float32 products are a tenth faster than torch's own."""

from __future__ import annotations

import os
import platform
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

# oneDNN prepares a product for each shape and keeps a thousand of them, half a megabyte each. Batches have dozens of
# shapes; a step has one dozen. It reads this variable at its first use.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")


def is_available() -> bool:
    """Whether this torch was built with oneDNN, for an x86 processor."""
    built = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return built and platform.machine() in ("x86_64", "AMD64")


def product(left: torch.Tensor, right: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """``left @ right.T + bias``: ``(..., i)`` and ``(o, i)``, float32, in any memory order, and ``(o,)`` or None."""
    return torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")


class _Linear(torch.autograd.Function):
    """The operator has no gradient: it was made for inference."""

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
            # oneDNN is not faster for the sum over all tokens.
            rows.t() @ inputs if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


def forward(module: nn.Linear, values: torch.Tensor) -> torch.Tensor:
    """Replacement of ``nn.Linear.forward`` on a CPU; dtypes other than float32 take the usual way."""
    single = values.dtype == module.weight.dtype == torch.float32
    if not single or torch.is_autocast_enabled("cpu"):
        return nn.functional.linear(values, module.weight, module.bias)
    return _Linear.apply(values, module.weight, module.bias)
