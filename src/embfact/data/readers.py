"""Reading one file of the user's, or of the mirror: CSV, TSV, JSON Lines or Parquet."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from embfact.data.json_lines import read_json_lines
from embfact.data.source import Source, require_columns
from embfact.data.text_lines import utf8_lines
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
        raise DataError(f"{name}, line {line}: {_describe(error)}") from error
    return Source(name, pa.table({column: pa.array(found, pa.string()) for column, found in values.items()}), lines)


def _describe(error: csv.Error) -> str:
    if "new-line character" in str(error):
        return "a carriage return stands outside of quotes; end all lines alike, with LF or CRLF, or quote the field"
    return f"{error}; is a quote left open, or the file truncated?"


def _refuse_ragged(fields: Sequence[str], header: Sequence[str], where: str) -> None:
    if len(fields) != len(header):
        raise DataError(
            f"{where} has {len(fields)} fields where the header has {len(header)}; "
            "quote fields with separators or line breaks (CSV only), and see that the file is not truncated"
        )


READERS: dict[str, Callable[[Path, Sequence[str], str], Source]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": read_json_lines,
    ".parquet": _read_parquet,
}
