"""The fields by which a table is laid out: of a row, of a figure, and the sizes that stand beside the figures.

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
    """What tells the rows of a table apart.

    Attributes:
        text: What stands in the table.
        order: Decides the order of its values.
        kind: ``words`` are aligned to the left, a ``count`` to the right.
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
# A method without a size has no value of these: it is compared with every size of the others.
OF_SIZE = ("asked", "rank")
FIGURE_FIELDS: dict[str, Callable[[Column], str]] = {
    "dataset": lambda column: column.data.label,
    "split": lambda column: column.split,
    "metric": lambda column: column.metric,
}
# Field -> the words above its column, and where the figure is in `RunRecord.size`; nothing for the seconds.
SIZE_FIELDS: dict[str, tuple[tuple[str, ...], str]] = {
    "params": (("emb.", "params"), "embedding.parameters"),
    "bytes": (("emb.", "bytes"), "embedding.bytes"),
    "model_params": (("model", "params"), "model.parameters"),
    "model_bytes": (("model", "bytes"), "model.bytes"),
    "seconds": (("seconds",), ""),
}
MEAN = "glue"  # a column too: the mean over GLUE's tasks
SYNONYMS = {"data": "dataset"}
