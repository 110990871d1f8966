"""The tensors of a compressed embedding and their size: the formulas of docs/methods.md as code.

Light to import: sizes are checked, and budgets turned into ranks, before anything heavy is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Literal, get_args

StorageFormat = Literal["float32", "float16", "int8", "int6", "int4", "int3", "int2"]
StorageGroup = Literal["row", 32, 64, 128]
Kind = Literal["rows", "plain", "index"]

BITS: dict[str, int] = {"int8": 8, "int6": 6, "int4": 4, "int3": 3, "int2": 2}
"""Bits of a code in each quantized format."""
SCALE_BYTES = 2  # the scale of a group is a float16
LEAST_ZERO_BITS = 4  # fewer cost more error than they save bytes: docs/results/storage.md
DEFAULT_GROUP: StorageGroup = 64  # the least error at equal bytes: docs/results/storage.md


@dataclass(frozen=True)
class Storage:
    """How rows are stored.

    Attributes:
        format: Format of the numbers; ``float32`` leaves them in the dtype of the model.
        group: Neighbouring numbers of a row that share a scale and a zero point if they are quantized (the last group
            of a row may be shorter); ``row`` for the whole row. None for floating point, and for rows of checkpoints
            from before there were groups, which have one float32 scale each and no zero point: these are read, never
            written.
    """

    format: StorageFormat = "float32"
    group: StorageGroup | None = DEFAULT_GROUP

    def __post_init__(self) -> None:
        if not self.quantized:
            object.__setattr__(self, "group", None)

    def __str__(self) -> str:
        if self.group is None:
            return self.format
        return f"{self.format}-row" if self.group == "row" else f"{self.format}-g{self.group}"

    @property
    def quantized(self) -> bool:
        """Whether numbers are stored as codes."""
        return self.format in BITS

    @property
    def bits(self) -> int:
        """Bits of a code of a quantized format."""
        return BITS[self.format]

    @property
    def zero_bits(self) -> int:
        """Bits of a zero point: those of a code, but at least four.

        With int2 and int3 a zero point may lie between two codes: it counts quarters and halves of a step.
        """
        return max(self.bits, LEAST_ZERO_BITS)

    @property
    def zero_step(self) -> float:
        """What a zero point counts, in steps between neighbouring codes: 1/4 in int2, 1/2 in int3, otherwise 1."""
        return float(2 ** (self.bits - self.zero_bits))

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest magnitude that the largest number of a table may have.

        Below the first, precision is lost.
        """
        if not self.quantized:
            return (0.0, inf) if self.format == "float32" else (2.0**-14, 65504.0)
        half = (2**self.bits - 1) / 2
        # Times the smallest float16, and the last but one, so that a scale can be rounded up.
        return half * 2.0**-24, half * 65472.0

    def group_size(self, columns: int) -> int:
        """Numbers in all groups of a row but the last, which may be shorter."""
        return max(1, min(columns, self.group)) if isinstance(self.group, int) else max(1, columns)

    def groups(self, columns: int) -> int:
        """Groups of a row."""
        return -(-columns // self.group_size(columns))

    def row_bytes(self, columns: int) -> int:
        """Bytes of a row; codes and zero points start at a byte each, so a row may leave bits unused."""
        if not self.quantized:
            return columns * (4 if self.format == "float32" else 2)
        groups = self.groups(columns)
        return packed_bytes(columns, self.bits) + SCALE_BYTES * groups + packed_bytes(groups, self.zero_bits)

    def as_json(self) -> dict[str, Any]:
        """As in a blueprint and a record."""
        return {"storage": self.format, **({} if self.group is None else {"storage_group": self.group})}

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Storage:
        """The storage that `as_json` described, now or before there were groups.

        Raises:
            ValueError: If there is no such storage.
        """
        name, group = values.get("storage", "float32"), values.get("storage_group")
        groups = get_args(StorageGroup) if name in ("int6", "int3", "int2") else (None, *get_args(StorageGroup))
        if name not in get_args(StorageFormat) or group not in groups:
            raise ValueError(f"storage {name}, storage_group {group}")
        return cls(name, group)


FLOAT32 = Storage()

# Of transform-coded tables: most bits of a number, levels of 1 to so many bits (twice as many as these tell apart),
# bits of a tier's number, and bytes around the codes (one before them and two after, so that every read lies inside).
MOST_BITS = 8
LEVELS = sum(2 ** (bits + 1) for bits in range(1, MOST_BITS + 1))
TIER_BITS = 3
PAD_BYTES = 3


def packed_bytes(codes: int, bits: int) -> int:
    """Bytes of a number of packed codes; one of three or six bits may lie across two bytes."""
    return -(-codes * bits // 8)


@dataclass(frozen=True)
class Size:
    """The size of an embedding or a model.

    Attributes:
        parameters: Weights: elements of floating-point tensors before any quantization, without codes, index maps and
            the scales and zero points of quantized rows.
        bytes: Bytes of all tensors, including codes, index maps, scales and zero points.
    """

    parameters: int
    bytes: int


@dataclass(frozen=True)
class Part:
    """One tensor of a compressed embedding.

    Attributes:
        rows: Number of rows.
        columns: Numbers in a row.
        kind: ``rows`` are stored as the storage options say, with scales and zero points if they are quantized;
            ``plain`` weights (a bias, a small core) stay in floating point; an ``index`` is not a weight.
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
        """Its bytes when saved."""
        if self.kind == "index":
            return self.rows * self.columns * self.item_bytes
        if self.kind == "plain" or storage == FLOAT32:
            return self.rows * self.columns * weight_bytes
        return self.rows * storage.row_bytes(self.columns)


def size_of(parts: Iterable[Part], storage: Storage = FLOAT32, weight_bytes: int = 4) -> Size:
    """The size of an embedding.

    Args:
        parts: Its tensors.
        storage: How rows are stored.
        weight_bytes: Bytes of a weight of the model: 4 for float32, 2 for bfloat16.
    """
    parts = tuple(parts)
    return Size(sum(part.parameters for part in parts), sum(part.bytes(storage, weight_bytes) for part in parts))


def sub_vectors(hidden_size: int, count: int) -> list[tuple[int, int]]:
    """H columns in m parts of nearly equal width: (number of parts, width), the wider ones first."""
    width, wider = divmod(hidden_size, count)
    return [(parts, columns) for parts, columns in ((wider, width + 1), (count - wider, width)) if parts]
