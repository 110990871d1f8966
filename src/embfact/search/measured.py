"""What was measured of the candidates of ``factorization=auto``, and its file; imports no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from embfact.embeddings.layout import StorageFormat
from embfact.system.atomic import write_text


@dataclass(frozen=True)
class Measured:
    """A candidate on held-out rows.

    Attributes:
        factorization: Name of the method.
        storage: Format of its tables.
        budget: The share of the table's bytes that it had to fit into.
        bytes: As saved.
        lost: Of a budget: squared error of the table over its squared norm, each row weighted by its count. Of a
            tolerance: the accuracy that is expected to be lost, in points. None if the method failed.
    """

    factorization: str
    storage: StorageFormat
    budget: float
    bytes: int | None
    lost: float | None

    def __str__(self) -> str:
        return f"{self.factorization} storage={self.storage}"


_FILE = TypeAdapter(list[Measured])


def read_measured(file: Path) -> list[Measured] | None:
    """The content of a file; None if it is missing or damaged."""
    with suppress(OSError, ValidationError):
        return _FILE.validate_json(file.read_bytes())
    return None


def write_measured(measured: Sequence[Measured], file: Path) -> None:
    """Replace a file, whose folder exists.

    Raises:
        OSError: If it cannot be written.
    """
    write_text(file, json.dumps([asdict(one) for one in measured], indent=1) + "\n")
