"""From columns as read to checked rows: id, text, text_pair, label."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from embfact.data.classes import Classes
from embfact.data.labels import HIDDEN, are_hidden, class_codes, targets
from embfact.data.source import Source
from embfact.errors import DataError

TEXT_COLUMNS = ("text", "text_pair")


def checked_rows(
    source: Source,
    text: Sequence[str],
    label: str,
    classes: Classes | None,
    *,
    allow_hidden: bool = False,
    allow_empty_side: bool = False,
) -> pa.Table:
    """Rows of one split with every text and label checked.

    Args:
        source: The split as read.
        text: The text column, or the two of a pair.
        label: The label column.
        classes: The classes of the labels; None for a regression.
        allow_hidden: Return nulls if every label is hidden, instead of refusing the split.
        allow_empty_side: Accept a pair with one empty side, as in published data sets (QQP).

    Returns:
        Columns ``id`` (int64, the row number in the source), ``text`` (string), ``text_pair`` (string, pairs only) and
        ``label`` (int64 codes, or float64 targets).

    Raises:
        DataError: With file and row of the first text or label that cannot be used.
    """
    if source.table.num_rows == 0:
        raise DataError(f"{source.name} has no rows; give a file with at least one")
    columns = {"id": pa.array(range(source.table.num_rows), pa.int64())}
    for name, column in zip(TEXT_COLUMNS, text, strict=False):
        columns[name] = _texts(source, column)
    empty = [pc.equal(pc.utf8_trim_whitespace(columns[name]), "") for name in TEXT_COLUMNS if name in columns]
    if len(empty) == 2 and allow_empty_side:
        empty = [pc.and_(*empty)]
    for column, faulty in zip(text, empty, strict=False):
        source.refuse(faulty, f"the text in {column!r} is empty; fix or remove the row")
    columns["label"] = _labels(source, label, classes, allow_hidden)
    return pa.table(columns)


def _texts(source: Source, column: str) -> pa.Array:
    texts = source.column(column)
    source.refuse(texts.is_null(), f"the text in {column!r} is missing; fix or remove the row")
    if not pa.types.is_string(texts.type):
        raise DataError(f"{source.name}: {column!r} holds {texts.type}, not text; name the text column in data.text")
    return texts


def _labels(source: Source, label: str, classes: Classes | None, allow_hidden: bool) -> pa.Array:
    is_class = classes is not None and classes.codes([HIDDEN]) != [None]
    if not is_class and are_hidden(source, label):
        if allow_hidden:
            return pa.nulls(source.table.num_rows, pa.float64() if classes is None else pa.int64())
        raise DataError(
            f"{source.name}: the labels are hidden (-1 in every row), as GLUE does for its test sets; "
            "report on validation (data.report_splits=[validation])"
        )
    return targets(source, label) if classes is None else class_codes(source, label, classes)
