"""Text without labels whose tokens are counted in place of those of the training rows (``evidence.source=FILE``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from embfact.data.readers import read_file, utf8_lines
from embfact.data.rows import TEXT_COLUMNS
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
        table = read_file(path, columns).table
        texts = {name: _strings(table, column, path) for name, column in zip(TEXT_COLUMNS, columns, strict=False)}
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


def _strings(table: pa.Table, column: str, path: Path) -> pa.Array:
    values = table.column(column).combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise DataError(f"{path.name}: {column!r} holds {values.type}, not text; name the text column in data.text")
    return pc.fill_null(values.cast(pa.string()), "")
