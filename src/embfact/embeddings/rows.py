"""A matrix whose rows are looked up by number, kept in floating point or quantized with a scale for each row.

Every embedding module keeps its tables and factors in these, so that one option stores any of them smaller.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from embfact.factorization.layout import Storage

_LEVELS = {"int8": 127, "int4": 7}
# The scale of a row is a float32 and its largest number over the levels.
_LARGEST = {"float16": 65504.0, "int8": 127 * 3.4e38, "int4": 7 * 3.4e38}


class Rows(nn.Module):
    """N rows of D numbers.

    Kept in floating point it has one parameter, ``weight``. Quantized it has two buffers: ``codes`` (int8, or uint8
    with two int4 codes a byte, the even column in the low half) and ``scales`` (float32, one for each row); the row is
    scale times code. Stored rows are not trained; what they give has the dtype that the weights had, or that the model
    was cast to since.

    Args:
        count: Number N of rows.
        width: Numbers D in a row.
        padding_idx: Row that receives no gradient, or None.

    Attributes:
        storage: How the rows are kept now.
        aware: The storage that training imitates (quantization-aware training), or None.
    """

    weight: torch.Tensor
    codes: torch.Tensor
    scales: torch.Tensor
    like: torch.Tensor

    def __init__(self, count: int, width: int, padding_idx: int | None = None):
        super().__init__()
        if padding_idx is not None and not -count <= padding_idx < count:
            raise ValueError(f"padding_idx must be an id of the {count} tokens (found {padding_idx})")
        self.count, self.width = count, width
        self.padding_idx = None if padding_idx is None else padding_idx % count
        self.storage: Storage = "float32"
        self.aware: Storage | None = None
        self.weight = nn.Parameter(torch.zeros(count, width))

    @classmethod
    def of(cls, weight: torch.Tensor, padding_idx: int | None = None) -> Rows:
        """The rows of a matrix, shape ``(N, D)``, in its dtype and on its device; the memory is shared."""
        rows = cls(0, 0)
        rows.count, rows.width = weight.shape
        rows.padding_idx = None if padding_idx is None else padding_idx % rows.count
        rows.weight = nn.Parameter(weight.detach())
        return rows

    @property
    def dtype(self) -> torch.dtype:
        """Of the rows that it gives."""
        return self.weight.dtype if self.storage == "float32" else self.like.dtype

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.weight.device if self.storage == "float32" else self.like.device

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Rows ``(..., D)`` of the numbers ``(...)``."""
        if self.storage == "float32":
            found = functional.embedding(numbers, self.weight, self.padding_idx)
            return found if self.aware is None else imitate(found, self.aware)
        if self.storage == "float16":
            return self.weight[numbers].to(self.dtype)
        return dequantize(self.codes[numbers], self.scales[numbers], self.storage, self.width).to(self.dtype)

    def matrix(self) -> torch.Tensor:
        """All rows, shape ``(N, D)``."""
        if self.storage == "float32":
            return self.weight if self.aware is None else imitate(self.weight, self.aware)
        if self.storage == "float16":
            return self.weight.to(self.dtype)
        return dequantize(self.codes, self.scales, self.storage, self.width).to(self.dtype)

    def store(self, storage: Storage) -> None:
        """Keep the rows in another way from now on; they are not trained any more.

        Raises:
            ValueError: If they are stored already, or have numbers too large for it; they are then as they were.
        """
        if storage == "float32":
            return
        if self.storage != "float32":
            raise ValueError(f"the rows are stored as {self.storage} already; start from the trained model")
        weight = self.weight.detach()
        largest = weight.abs().max().item() if weight.numel() else 0.0
        if largest > (limit := _LARGEST[storage]):
            remedy = "use storage=float32 or int8" if storage == "float16" else "use storage=float32"
            raise ValueError(f"{storage} cannot hold numbers above {limit:.5g} (found {largest:.5g}); {remedy}")
        # Follows the module to another device or dtype, as a parameter does.
        self.register_buffer("like", weight.new_empty(0), persistent=False)
        self.storage, self.aware = storage, None
        if storage == "float16":
            self.weight = nn.Parameter(weight.half(), requires_grad=False)
            return
        codes, scales = quantize(weight, storage)
        del self.weight
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Rows:
        """Move stored rows as they are: another dtype changes what they give, not what is kept."""
        if self.storage == "float32":
            return super()._apply(fn, recurse)

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            moved = fn(tensor)
            if tensor is self.like or moved.dtype == tensor.dtype:
                return moved
            return moved.to(tensor.dtype) if tensor.is_meta else tensor.to(moved.device)

        return super()._apply(keep, recurse)

    def extra_repr(self) -> str:
        """What `print(model)` says about this module."""
        return f"{self.count} x {self.width}, storage={self.storage}"


def quantize(weight: torch.Tensor, storage: Storage) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes and scales of the rows of a matrix: symmetric, each row scaled to its largest number.

    Args:
        weight: Rows, shape ``(..., D)``.
        storage: ``int8`` (codes -127 to 127) or ``int4`` (-7 to 7).

    Returns:
        Codes, int8 ``(..., D)`` or uint8 ``(..., ceil(D / 2))``, and float32 scales ``(...)``. No number is further
        than half a scale from code times scale.
    """
    levels = _LEVELS[storage]
    exact = weight.detach().double()
    largest = exact.abs().amax(dim=-1) if weight.shape[-1] else exact.new_zeros(weight.shape[:-1])
    scales = (largest / levels).float()
    # A row of zeros, or one too small for a float32 scale, has codes of zero.
    divisor = torch.where(scales > 0, scales, torch.ones_like(scales)).double().unsqueeze(-1)
    codes = (exact / divisor).round().clamp(-levels, levels).to(torch.int8)
    return (codes if storage == "int8" else _pack(codes)), scales


def dequantize(codes: torch.Tensor, scales: torch.Tensor, storage: Storage, width: int) -> torch.Tensor:
    """The rows ``(..., D)`` of codes and scales ``(...)``, in the dtype of the scales."""
    plain = codes if storage == "int8" else _unpack(codes, width)
    return plain.to(scales.dtype) * scales.unsqueeze(-1)


def imitate(rows: torch.Tensor, storage: Storage) -> torch.Tensor:
    """Rows as they will be once stored, with the gradient of the rows themselves (straight-through estimator).

    Bengio, Léonard and Courville (2013), "Estimating or Propagating Gradients Through Stochastic Neurons".
    """
    if storage == "float32":
        return rows
    with torch.no_grad():
        if storage == "float16":
            stored = rows.half().to(rows.dtype)
        else:
            stored = dequantize(*quantize(rows, storage), storage, rows.shape[-1]).to(rows.dtype)
    return rows + (stored - rows).detach()


def _pack(codes: torch.Tensor) -> torch.Tensor:
    nibbles = functional.pad((codes + 8).to(torch.uint8), (0, codes.shape[-1] % 2))
    return nibbles[..., 0::2] | (nibbles[..., 1::2] << 4)


def _unpack(packed: torch.Tensor, width: int) -> torch.Tensor:
    nibbles = torch.stack([packed & 15, packed >> 4], dim=-1).flatten(-2)
    return nibbles[..., :width].to(torch.int8) - 8
