"""A column in the one form that the checks work on."""

from __future__ import annotations

import pyarrow as pa

from embfact.data.source import Source
from embfact.errors import DataError


def column_of(source: Source, name: str) -> pa.Array:
    """A column in one piece: values in place of dictionary codes, text of every layout as ``string``.

    Raises:
        DataError: If its text is not UTF-8.
    """
    try:
        column = source.table.column(name).combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
            column = column.cast(pa.string())
        column.validate(full=True)  # what Parquet calls text may be any bytes
    except pa.ArrowInvalid as error:
        raise DataError(f"{source.name}: {name!r} is damaged, or not UTF-8 ({error}); write it anew") from error
    return column
