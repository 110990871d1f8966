"""The lines of a text file, or the reason why it is not one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from embfact.errors import DataError


def utf8_lines(path: Path, name: str) -> Iterator[str]:
    """The lines of a file with their line ends, without a byte order mark.

    Raises:
        DataError: With its name and the first line that is not UTF-8, or contains a NUL byte.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(_lines(file), 1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                byte = f"byte 0x{raw[error.start]:02x}"
                raise DataError(f"{name}, line {number} is not UTF-8 ({byte}); save the file as UTF-8") from error
            if "\0" in line:
                raise DataError(
                    f"{name}, line {number} holds a NUL byte: this is not a text file, or one in UTF-16; "
                    "check its extension, or save it as UTF-8"
                )
            yield line


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines that end in LF or CRLF; in CR if no line of the file ends in LF."""
    first = file.readline()
    yield from [first] if first.endswith(b"\n") else first.splitlines(keepends=True)
    yield from file
