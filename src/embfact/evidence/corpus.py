"""Text without labels whose tokens are counted in place of those of the training rows (``evidence.source=FILE``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from embfact.data.columns import column_of
from embfact.data.readers import read_file
from embfact.data.rows import TEXT_COLUMNS
from embfact.data.source import Source
from embfact.data.text_lines import utf8_lines
from embfact.errors import DataError


def read_corpus(path: Path, columns: Sequence[str]) -> pa.Table:
    """The texts of a file; empty and missing ones are passed over, since there is nothing to count in them.

    Args:
        path: A ``.txt`` file with a text on each line; or CSV, TSV, JSON Lines or Parquet.
        columns: The text column of such a table, or the two of a pair; plain text has none.

    Returns:
        Columns ``id``, ``text``, ``text_pair`` (pairs only) and ``label`` (all null), as `embfact.data.text` has them.

    Raises:
        DataError: If the file cannot be read, lacks a column, or holds no text.
    """
    if path.suffix.lower() == ".txt":
        texts = {"text": pa.array(_lines(path), pa.string())}
    else:
        source = read_file(path, columns)
        texts = {name: _strings(source, column) for name, column in zip(TEXT_COLUMNS, columns, strict=False)}
    filled = [pc.not_equal(pc.utf8_trim_whitespace(column), "") for column in texts.values()]
    rows = pa.table(texts).filter(filled[0] if len(filled) == 1 else pc.or_(*filled))
    if not rows.num_rows:
        raise DataError(f"{path.name} holds no text to count; give a file that does, or evidence.source=training")
    ids = pa.array(range(rows.num_rows), pa.int64())
    return rows.append_column("id", ids).append_column("label", pa.nulls(rows.num_rows, pa.int64()))


def _lines(path: Path) -> list[str]:
    try:
        return list(utf8_lines(path, path.name))
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror or error}") from error


def _strings(source: Source, column: str) -> pa.Array:
    values = column_of(source, column)
    if not pa.types.is_string(values.type):
        raise DataError(f"{source.name}: {column!r} holds {values.type}, not text; name the text column in data.text")
    return pc.fill_null(values, "")
