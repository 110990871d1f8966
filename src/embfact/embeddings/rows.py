"""A matrix whose rows are looked up by number, stored in floating point or quantized.

Every embedding module keeps its tables and factors in these, so one option stores any of them smaller.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from embfact.embeddings.layout import FLOAT32, Storage
from embfact.embeddings.quantization import Quantized, all_zero, dequantize, imitate, quantize


class Rows(nn.Module):
    """N rows of D numbers.

    In floating point it has one parameter, ``weight``. Quantized it has the buffers ``codes``, ``scales`` and
    ``zero_points`` of `embfact.embeddings.quantization.Quantized`. Stored rows are not trained; lookups return the
    dtype that the weights had, or that the model was cast to since.

    Args:
        count: Number N of rows.
        width: Numbers D in a row.
        padding_idx: Row that receives no gradient, or None.

    Attributes:
        storage: How the rows are stored now.
        aware: The storage that training imitates (quantization-aware training), or None.
    """

    weight: torch.Tensor
    codes: torch.Tensor
    scales: torch.Tensor
    zero_points: torch.Tensor | None
    like: torch.Tensor

    def __init__(self, count: int, width: int, padding_idx: int | None = None):
        super().__init__()
        self.count, self.width = count, width
        self.padding_idx = row_number(padding_idx, count)
        self.storage = FLOAT32
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
        """Dtype of the rows that lookups return."""
        return self.weight.dtype if self.storage == FLOAT32 else self.like.dtype

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.weight.device if self.storage == FLOAT32 else self.like.device

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Rows ``(..., D)`` of the numbers ``(...)``."""
        if self.storage == FLOAT32:
            found = functional.embedding(numbers, self.weight, self.padding_idx)
            return found if self.aware is None else imitate(found, self.aware)
        # index_select is several times as fast as indexing, which only trained rows would need.
        flat, shape = numbers.flatten(), numbers.shape
        return self._restored(lambda kept: kept.index_select(0, flat).view(*shape, *kept.shape[1:]))

    def matrix(self) -> torch.Tensor:
        """All rows, shape ``(N, D)``."""
        if self.storage == FLOAT32:
            return self.weight if self.aware is None else imitate(self.weight, self.aware)
        return self._restored(lambda kept: kept)

    def check(self, storage: Storage) -> None:
        """Refuse a storage that `store` cannot use.

        Raises:
            ValueError: If the rows are stored already, or have numbers that the storage cannot hold.
        """
        if storage == FLOAT32:
            return
        if self.storage != FLOAT32:
            raise ValueError(f"the rows are stored as {self.storage} already; start from the trained model")
        if storage.quantized and storage.group is None:
            raise ValueError(f"{storage} needs a storage_group; without one it is only read")
        # Not abs().max(), which would briefly need a second table.
        extremes = torch.aminmax(self.weight.detach()) if self.weight.numel() else ()
        largest = max((abs(float(extreme)) for extreme in extremes), default=0.0)
        least, most = storage.range
        if largest == 0 or least <= largest <= most:
            return
        if largest < least:
            raise ValueError(
                f"{storage.format} cannot hold a table of numbers that are all below {least:.2g} (the largest is "
                f"{largest:.2g}); use storage=float32"
            )
        remedy = "storage=float32 or int8" if most < largest <= Storage("int8").range[1] else "storage=float32"
        raise ValueError(f"{storage.format} cannot hold numbers above {most:.5g} (found {largest:.5g}); use {remedy}")

    def store(self, storage: Storage) -> None:
        """Store the rows in another way from now on; they are not trained any more.

        Raises:
            ValueError: As `check`; the rows are then unchanged.
        """
        self.check(storage)
        if storage.quantized:
            self._keep(storage, quantize(self.weight, storage))
        elif storage != FLOAT32:
            self._keep(storage, self.weight.detach().half())

    def allocate(self, storage: Storage) -> None:
        """Prepare the tensors of stored rows, all zero, for loading saved ones."""
        if storage.quantized:
            self._keep(storage, all_zero(self.count, self.width, storage, self.device))
        elif storage != FLOAT32:
            self._keep(storage, torch.zeros_like(self.weight, dtype=torch.float16))

    def _keep(self, storage: Storage, kept: Quantized | torch.Tensor) -> None:
        # It follows the module to another device or dtype, as a parameter does.
        self.register_buffer("like", self.weight.detach().new_empty(0), persistent=False)
        self.storage, self.aware = storage, None
        if isinstance(kept, torch.Tensor):
            self.weight = nn.Parameter(kept, requires_grad=False)
            return
        del self.weight
        for name, tensor in kept._asdict().items():
            self.register_buffer(name, tensor)

    def _restored(self, part: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """A part of what is stored, in floating point again."""
        if not self.storage.quantized:
            return part(self.weight).to(self.dtype)
        zero_points = None if self.zero_points is None else part(self.zero_points)
        kept = Quantized(part(self.codes), part(self.scales), zero_points)
        return dequantize(kept, self.storage, self.width).to(self.dtype)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Rows:
        """Move stored rows unchanged: another dtype changes what lookups return, not what is stored."""
        if self.storage == FLOAT32:
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


def row_number(padding_idx: int | None, count: int) -> int | None:
    """The padding id counted from the start; it is refused with a ValueError if there is no such token."""
    if padding_idx is None:
        return None
    if not -count <= padding_idx < count:
        raise ValueError(f"padding_idx must be an id of the {count} tokens (found {padding_idx})")
    return padding_idx % count
