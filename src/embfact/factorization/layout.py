"""What a compressed embedding is made of, and so what it takes: the formulas of docs/methods.md as code.

Light to import: a size is checked, and a budget turned into a rank, before anything heavy is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Storage = Literal["float32", "float16", "int8", "int4"]
Kind = Literal["rows", "plain", "index"]
SCALE_BYTES = 4  # the scale of a quantized row is a float32


@dataclass(frozen=True)
class Size:
    """How much something takes.

    Attributes:
        parameters: Weights: elements of floating-point tensors before any quantization; codes, index maps and the
            scales of quantized rows are none.
        bytes: Bytes of all tensors, codes, index maps and scales included.
    """

    parameters: int
    bytes: int


@dataclass(frozen=True)
class Part:
    """One tensor of a compressed embedding.

    Attributes:
        rows: How many rows it has.
        columns: How many numbers a row has.
        kind: ``rows`` are kept as the storage option says, with a scale for each row where they are quantized;
            ``plain`` weights (a bias, a small core) stay in floating point; an ``index`` is no weight.
        item_bytes: Bytes of an entry of an ``index``.
    """

    rows: int
    columns: int
    kind: Kind = "rows"
    item_bytes: int = 4

    @property
    def parameters(self) -> int:
        """Weights in it."""
        return 0 if self.kind == "index" else self.rows * self.columns

    def bytes(self, storage: Storage, weight_bytes: int) -> int:
        """Bytes of it when it is saved."""
        if self.kind == "index":
            return self.rows * self.columns * self.item_bytes
        if self.kind == "plain" or storage == "float32":
            return self.rows * self.columns * weight_bytes
        return self.rows * row_bytes(self.columns, storage)


def row_bytes(columns: int, storage: Storage) -> int:
    """Bytes of one stored row; two numbers of int4 share a byte, so an odd row leaves half a byte unused."""
    if storage == "float32":
        return 4 * columns
    if storage == "float16":
        return 2 * columns
    return (columns if storage == "int8" else -(-columns // 2)) + SCALE_BYTES


def size_of(parts: Iterable[Part], storage: Storage = "float32", weight_bytes: int = 4) -> Size:
    """The size of an embedding.

    Args:
        parts: Its tensors.
        storage: How rows are kept; ``float32`` leaves them in the dtype of the model.
        weight_bytes: Bytes of a weight of the model: 4 for float32, 2 for bfloat16.
    """
    parts = tuple(parts)
    return Size(sum(part.parameters for part in parts), sum(part.bytes(storage, weight_bytes) for part in parts))
