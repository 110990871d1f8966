"""Reading one file of the user's, or of the mirror: CSV, TSV, JSON Lines or Parquet."""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from embfact.data.source import Source, require_columns
from embfact.errors import DataError

LONGEST_FIELD = 2**31 - 1  # Python's default of 131,072 characters refuses long documents


def read_file(path: Path, columns: Sequence[str], name: str | None = None) -> Source:
    """Read the wanted columns of a file, by its extension.

    CSV and TSV have a header line. In CSV a field may be quoted (RFC 4180); TSV knows no quotes (as GLUE's files and
    the IANA definition have it). JSON Lines has one object a line. Lines without any character are passed over.

    Args:
        path: File ending in ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet``.
        columns: Names of the columns to read.
        name: What to call the file in messages; None: its file name.

    Raises:
        DataError: If the file cannot be read, or lacks a column; with the line where that is known.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path.name} ends in {path.suffix or 'nothing'!r}; use one of {', '.join(READERS)}")
    try:
        return reader(path, columns, name or path.name)
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror or error}") from error


def _read_parquet(path: Path, columns: Sequence[str], name: str) -> Source:
    try:
        with pq.ParquetFile(path) as file:
            require_columns(name, columns, file.schema_arrow.names)
            return Source(name, file.read(columns=list(dict.fromkeys(columns))))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{name} is not a whole Parquet file ({reason}); it may be truncated: write it anew") from error


def _read_csv(path: Path, columns: Sequence[str], name: str) -> Source:
    return _read_delimited(path, columns, name, csv.excel)


def _read_tsv(path: Path, columns: Sequence[str], name: str) -> Source:
    return _read_delimited(path, columns, name, _Tsv)


class _Tsv(csv.Dialect):
    delimiter = "\t"
    quoting = csv.QUOTE_NONE
    quotechar = None
    lineterminator = "\n"


def _read_delimited(path: Path, columns: Sequence[str], name: str, dialect: type[csv.Dialect]) -> Source:
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(utf8_lines(path, name), dialect, strict=True)
    line = 1
    values: dict[str, list[str]] = {column: [] for column in columns}
    lines = array("q")
    try:
        header = next(reader, [])
        if not header:
            raise DataError(f"{name} is empty; give a file with a header line and at least one row")
        require_columns(name, columns, header)
        positions = {column: header.index(column) for column in columns}
        line = reader.line_num + 1
        for fields in reader:
            if fields:
                _refuse_ragged(fields, header, f"{name}, line {line}")
                for column, position in positions.items():
                    values[column].append(fields[position])
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{name}, line {line}: {error}; is a quote left open, or the file truncated?") from error
    return Source(name, pa.table({column: pa.array(found, pa.string()) for column, found in values.items()}), lines)


def _refuse_ragged(fields: Sequence[str], header: Sequence[str], where: str) -> None:
    if len(fields) != len(header):
        raise DataError(
            f"{where} has {len(fields)} fields where the header has {len(header)}; "
            "quote fields with separators or line breaks (CSV only), and see that the file is not truncated"
        )


def _read_json_lines(path: Path, columns: Sequence[str], name: str) -> Source:
    values: dict[str, list[Any]] = {column: [] for column in columns}
    lines = array("q")
    for number, line in enumerate(utf8_lines(path, name), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{name}, line {number} is not JSON ({error}); write one whole object a line") from error
        if not isinstance(row, dict):
            raise DataError(f"{name}, line {number} is not a JSON object; write one object a line")
        require_columns(f"{name}, line {number}", columns, list(row))
        for column in columns:
            values[column].append(row[column])
        lines.append(number)
    table = pa.table({column: _json_column(found, f"{column!r} of {name}", lines) for column, found in values.items()})
    return Source(name, table, lines)


def _json_column(values: list[Any], what: str, lines: Sequence[int]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        first = next(type(value) for value in values if value is not None)
        odd = next(row for row, value in enumerate(values) if value is not None and type(value) is not first)
        raise DataError(f"{what}, line {lines[odd]}: found {values[odd]!r} after values of another type") from error


def utf8_lines(path: Path, name: str) -> Iterator[str]:
    """The lines of a file with their ends, a byte order mark left out.

    Args:
        path: The file.
        name: What to call it in messages.

    Raises:
        DataError: With the first line that is not UTF-8, or that no text file has.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                byte = f"byte 0x{raw[error.start]:02x}"
                raise DataError(f"{name}, line {number} is not UTF-8 ({byte}); save the file as UTF-8") from error
            if "\0" in line:
                raise DataError(f"{name}, line {number} holds a NUL byte: this is no text file; check its extension")
            yield line


READERS: dict[str, Callable[[Path, Sequence[str], str], Source]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}
