"""Reading one of the user's or the mirror's files: CSV, TSV, JSON Lines or Parquet."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from embfact.data.json_lines import read_json_lines
from embfact.data.source import Source, require_columns
from embfact.data.text_lines import utf8_lines
from embfact.errors import DataError

LONGEST_FIELD = 2**31 - 1  # Python's default of 131,072 characters refuses long documents


def read_file(path: Path, columns: Sequence[str], name: str | None = None) -> Source:
    """Read some columns of a file, by its extension.

    CSV and TSV have a header line. A CSV field may be quoted (RFC 4180); TSV has no quotes (as in GLUE's files and the
    IANA definition). JSON Lines has one object per line. Empty lines are skipped.

    Args:
        path: File ending in ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet``.
        columns: Names of the columns to read.
        name: Name of the file in messages; None: its file name.

    Raises:
        DataError: If the file cannot be read, or lacks a column; with the line if that is known.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path.name} ends in {path.suffix or 'nothing'!r}; use one of {', '.join(READERS)}")
    try:
        return reader(path, columns, name or path.name)
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror or error}") from error


def check_header(path: Path, columns: Sequence[str]) -> None:
    """Refuse a file that lacks a column, without reading its rows; JSON Lines have no header, so they pass.

    Raises:
        MissingColumnError: With the column and the nearest names.
        DataError: If the file cannot be read.
    """
    try:
        if path.suffix.lower() == ".parquet":
            names = pq.read_schema(path).names
        elif path.suffix.lower() in DIALECTS:
            names = next(csv.reader(utf8_lines(path, path.name), DIALECTS[path.suffix.lower()]), [])
        else:
            return
    except (OSError, pa.ArrowException, csv.Error) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from error
    if names:
        require_columns(path.name, columns, names)


def _read_parquet(path: Path, columns: Sequence[str], name: str) -> Source:
    try:
        with pq.ParquetFile(path) as file:
            require_columns(name, columns, file.schema_arrow.names)
            return Source(name, file.read(columns=list(dict.fromkeys(columns))))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{name} is not a complete Parquet file ({reason}); it may be truncated: write it again"
        ) from error


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
                if len(fields) != len(header):
                    raise DataError(
                        f"{name}, line {line} has {len(fields)} fields where the header has {len(header)}; quote "
                        "fields with separators or line breaks (CSV only), and check that the file is not truncated"
                    )
                for column, position in positions.items():
                    values[column].append(fields[position])
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        what = f"{error}; is a quote left open, or the file truncated?"
        if "new-line character" in str(error):
            what = "there is a carriage return outside of quotes; end all lines with LF or CRLF, or quote the field"
        raise DataError(f"{name}, line {line}: {what}") from error
    return Source(name, pa.table({column: pa.array(found, pa.string()) for column, found in values.items()}), lines)


DIALECTS: dict[str, type[csv.Dialect]] = {".csv": csv.excel, ".tsv": _Tsv}
READERS: dict[str, Callable[[Path, Sequence[str], str], Source]] = {
    **{ending: partial(_read_delimited, dialect=dialect) for ending, dialect in DIALECTS.items()},
    ".jsonl": read_json_lines,
    ".parquet": _read_parquet,
}
