"""The fields that lay out a table: fields of rows, fields of figures, and sizes.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from embfact.results.result_table import DENSE, Column, Row, storage_order
from embfact.results.table.cells import UNDEFINED, rank_range
from embfact.results.table.grid import Kind

ZSTD = "zstd: bytes after compression, as a share of dense before it"
SMALLER = "vs.: how many times smaller than dense would be in this format"


@dataclass(frozen=True)
class RowField:
    """A field that distinguishes the rows of a table.

    Attributes:
        text: The text in the table.
        order: Sort key of the values.
        kind: ``words`` are left-aligned, a ``count`` right-aligned.
    """

    text: Callable[[Row], str]
    order: Callable[[Row], Any]
    kind: Kind = "words"


def _rank(row: Row) -> str:
    counted = "" if row.size_name == "rank" else f"{row.size_name} "
    return f"{counted}{rank_range(row.ranks)}" if row.ranks else UNDEFINED


ROW_FIELDS: dict[str, RowField] = {
    "model": RowField(lambda row: row.model, lambda row: row.model),
    "method": RowField(lambda row: row.method, lambda row: (row.method != DENSE, row.method)),
    "storage": RowField(lambda row: row.storage or "float32", lambda row: storage_order(row.storage)),
    "asked": RowField(lambda row: row.target or UNDEFINED, lambda row: row.target),
    "rank": RowField(_rank, lambda row: row.ranks, "count"),
    "setting": RowField(lambda row: row.setting or UNDEFINED, lambda row: row.setting),
}
# A method without a size has no value for these: it is compared with every size of the others.
OF_SIZE = ("asked", "rank")
FIGURE_FIELDS: dict[str, Callable[[Column], str]] = {
    "dataset": lambda column: column.data.label,
    "split": lambda column: column.split,
    "metric": lambda column: column.metric,
}


@dataclass(frozen=True)
class SizeField:
    """A field that is a column of sizes, or the seconds of a run.

    Attributes:
        words: The heading of its column.
        path: Attribute path in `RunRecord.size`; empty for the seconds.
        against: Bytes of a number of the dense table that is divided by the size; 0 for the size itself.
        usual: Whether the whole table has it; the others are there to be asked for.
        meaning: What the legend says about it.
    """

    words: tuple[str, ...]
    path: str = ""
    against: int = 0
    usual: bool = False
    meaning: str = ""


SIZE_FIELDS: dict[str, SizeField] = {
    "params": SizeField(("emb.", "params"), "embedding.parameters", usual=True),
    "bytes": SizeField(("emb.", "bytes"), "embedding.bytes", usual=True),
    "model_params": SizeField(("model", "params"), "model.parameters", usual=True),
    "model_bytes": SizeField(("model", "bytes"), "model.bytes", usual=True),
    "zstd": SizeField(("emb.", "zstd"), "embedding.zstd_bytes", meaning=f"{ZSTD}."),
    "model_zstd": SizeField(("model", "zstd"), "model.zstd_bytes", meaning=f"{ZSTD}."),
    "memory": SizeField(("emb.", "memory"), "embedding.memory_bytes", meaning="Memory: of all tensors in use."),
    "vs_float32": SizeField(("emb. vs.", "float32"), "embedding.bytes", against=4, meaning=f"{SMALLER}."),
    "vs_float16": SizeField(("emb. vs.", "float16"), "embedding.bytes", against=2, meaning=f"{SMALLER}."),
    "seconds": SizeField(("seconds",), usual=True, meaning="Seconds: mean of a whole run."),
}
SHARES = ", in brackets as a share of dense"  # in the legend
MEAN = "glue"  # also a column: the mean over GLUE tasks
SYNONYMS = {"data": "dataset"}
