"""Rows as they were read, not yet checked, and the place of each one for messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from embfact.errors import DataError, nearest


@dataclass(frozen=True)
class Source:
    """The columns of one split as read.

    Attributes:
        name: The file, or split of a data set, in error messages.
        table: The wanted columns, one row each; row ``i`` has the id ``i``.
        lines: Line of the file (from 1, header included) of each row, or None if rows are not lines.
        groups: Group of each row that is held out as a whole, or None if only equal texts stay together.
    """

    name: str
    table: pa.Table
    lines: Sequence[int] | None = None
    groups: Sequence[str] | None = None

    def where(self, row: int) -> str:
        """The place of a row (from 0): ``"train.csv, line 12"`` or ``"train.parquet, row 10 (counted from 0)"``."""
        if self.lines is None:
            return f"{self.name}, row {row} (counted from 0)"
        return f"{self.name}, line {self.lines[row]}"

    def refuse(self, faulty: pa.Array, message: str) -> None:
        """Raise a `DataError` with the first row that is True in ``faulty``, if there is one."""
        if pc.any(faulty).as_py():
            raise DataError(f"{self.where(pc.index(faulty, True).as_py())}: {message}")

    def column(self, name: str) -> pa.Array:
        """A column in one piece: values in place of dictionary codes, text of every layout as ``string``.

        Raises:
            DataError: If its text is not UTF-8.
        """
        try:
            column = self.table.column(name).combine_chunks()
            if pa.types.is_dictionary(column.type):
                column = column.dictionary_decode()
            if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
                column = column.cast(pa.string())
            column.validate(full=True)  # text in a Parquet file may be any bytes
        except pa.ArrowInvalid as error:
            raise DataError(f"{self.name}: {name!r} is damaged, or not UTF-8 ({error}); write it again") from error
        return column


class MissingColumnError(DataError):
    """A file lacks a column. The option that chooses the columns depends on the command, so a caller may name its own.

    Attributes:
        what: The message without the options.
    """

    def __init__(self, what: str):
        self.what = what
        super().__init__(f"{what} (options data.text and data.label)")


def require_columns(name: str, wanted: Sequence[str], found: Sequence[str]) -> None:
    """Refuse a file that lacks a column, or has it twice.

    Raises:
        MissingColumnError: With the column and the nearest names.
        DataError: If it is there twice.
    """
    for column in wanted:
        if column not in found:
            raise MissingColumnError(f"{name} has no column {column!r}; {nearest(column, found)}")
        if list(found).count(column) > 1:
            raise DataError(f"{name} has the column {column!r} more than once; rename all but one")
