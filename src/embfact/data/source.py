"""Rows as they were found, not yet checked, and words for where each one is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from embfact.errors import DataError, nearest


@dataclass(frozen=True)
class Source:
    """The columns of one split as read.

    Attributes:
        name: The file, or split of a data set, as error messages call it.
        table: The wanted columns, one row each; row ``i`` has the id ``i``.
        lines: Line of the file (from 1, header included) of each row, or None where rows are no lines.
        groups: What each row is to be held out with, or None where equal texts alone stay together.
    """

    name: str
    table: pa.Table
    lines: Sequence[int] | None = None
    groups: Sequence[str] | None = None

    def where(self, row: int) -> str:
        """Words for a row (from 0): ``"train.csv, line 12"`` or ``"train.parquet, row 10 (counted from 0)"``."""
        if self.lines is None:
            return f"{self.name}, row {row} (counted from 0)"
        return f"{self.name}, line {self.lines[row]}"


class MissingColumnError(DataError):
    """A file lacks a column. What chooses the columns depends on the command, so a caller may name its own option.

    Attributes:
        what: The message without the options.
    """

    def __init__(self, what: str):
        self.what = what
        super().__init__(f"{what} (options data.text and data.label)")


def require_columns(name: str, wanted: Sequence[str], found: Sequence[str]) -> None:
    """Refuse a file that lacks a column, or has it twice.

    Raises:
        MissingColumnError: Naming the column with the nearest names.
        DataError: If it is there twice.
    """
    for column in wanted:
        if column not in found:
            raise MissingColumnError(f"{name} has no column {column!r}; {nearest(column, found)}")
        if list(found).count(column) > 1:
            raise DataError(f"{name} has the column {column!r} more than once; rename all but one")
