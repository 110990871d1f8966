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
# Field -> column heading and attribute path in `RunRecord.size`; none for the seconds.
SIZE_FIELDS: dict[str, tuple[tuple[str, ...], str]] = {
    "params": (("emb.", "params"), "embedding.parameters"),
    "bytes": (("emb.", "bytes"), "embedding.bytes"),
    "model_params": (("model", "params"), "model.parameters"),
    "model_bytes": (("model", "bytes"), "model.bytes"),
    "seconds": (("seconds",), ""),
}
SHARES = ", in brackets as a share of dense"  # in the legend
MEAN = "glue"  # also a column: the mean over GLUE tasks
SYNONYMS = {"data": "dataset"}
