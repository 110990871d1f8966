"""JSON Lines: one object per line, whose strings and numbers become columns."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from pathlib import Path
from reprlib import repr as short
from typing import Any

import pyarrow as pa

from embfact.data.source import Source, require_columns
from embfact.data.text_lines import utf8_lines
from embfact.errors import DataError

EXACT = 2**53  # every whole number up to here is a float


class _Object(list[tuple[str, Any]]):
    """The members of a JSON object, including repeated keys."""


_DECODER = json.JSONDecoder(object_pairs_hook=_Object)
_KINDS = {str: "a string", bool: "true or false", int: "a number", float: "a number", _Object: "an object"}


def read_json_lines(path: Path, columns: Sequence[str], name: str) -> Source:
    """Read some columns of a file with one JSON object (RFC 8259) per line; other members may hold anything.

    Raises:
        DataError: With the first line that is not an object, lacks a column or has it twice, or whose value no column
            can hold: an object or a list, half of a surrogate pair, a whole number beyond 64 bits, or a type other than
            before. It calls the file by ``name``.
    """
    values: dict[str, list[Any]] = {column: [] for column in columns}
    kinds: dict[str, str] = {}
    lines = array("q")
    for number, line in enumerate(utf8_lines(path, name), 1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        members = _members(line, where)
        # A key may hold characters that cannot be printed.
        require_columns(where, columns, [key.encode("utf-8", "backslashreplace").decode() for key, _ in members])
        row = dict(members)
        for column, found in values.items():
            value = row[column]
            kind = _kind(value, column, where)
            if kind is not None and kinds.setdefault(column, kind) != kind:
                raise DataError(
                    f"{column!r} of {where}: found {short(value)}, which is {kind}, after {kinds[column]}; "
                    "write all values of a column in the same way"
                )
            found.append(value)
        lines.append(number)
    table = pa.table({column: _json_column(found, f"{column!r} of {name}", lines) for column, found in values.items()})
    return Source(name, table, lines)


def _members(line: str, where: str) -> _Object:
    try:
        row = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where} is not JSON ({error}); write one whole object per line") from error
    except RecursionError as error:
        raise DataError(f"{where} is nested too deeply; write one flat object per line") from error
    except ValueError as error:  # a number with thousands of digits
        raise DataError(f"{where} cannot be read ({error}); write such a number as a string") from error
    if not isinstance(row, _Object):
        raise DataError(f"{where} is not a JSON object; write one object per line")
    return row


def _kind(value: Any, column: str, where: str) -> str | None:
    """The type of a value, if a column can hold it; None for null."""
    if value is None:
        return None
    kind = _KINDS.get(type(value), "a list")
    if isinstance(value, list):
        raise DataError(f"{where}: {column!r} holds {kind}; name another column, or write it as a string")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise DataError(f"{where}: {column!r} holds {short(value)}, which is beyond 64 bits; write it as a string")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            half = f"\\u{ord(value[error.start]):04x}"
            raise DataError(
                f"{where}: {column!r} holds {half}, half of a surrogate pair, not a character; fix or remove the row"
            ) from error
    return kind


def _json_column(values: list[Any], what: str, lines: Sequence[int]) -> pa.Array:
    try:
        return pa.array(values)
    except pa.ArrowInvalid as error:  # a whole number that no float can hold, among floats
        odd = next(row for row, value in enumerate(values) if isinstance(value, int) and abs(value) > EXACT)
        raise DataError(
            f"{what}, line {lines[odd]}: found {values[odd]}, which has too many digits for a column with decimal "
            "numbers; write them all as strings"
        ) from error
