"""The classes of a data set, and which labels mean the same class. Light to import: no pyarrow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from math import isfinite

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_PADDED = re.compile(r"[+-]?0[0-9]")
MOST_LISTED, LONGEST = 10, 40  # labels in a message, and the characters of each


def is_number(text: str) -> bool:
    """Whether a text is a finite number in ASCII digits: 1, -1.50, .5, 1e3; not 1_000 or inf."""
    return bool(_NUMBER.fullmatch(text)) and isfinite(float(text))


def value_of(label: str) -> Decimal | None:
    """The exact value of a label that is a number; None for a word, and for 01: a padded code is not a quantity."""
    return Decimal(label) if is_number(label) and not _PADDED.match(label) else None


@dataclass(frozen=True)
class Classes:
    """The classes of a data set.

    If every class is a number, labels are compared by value (1, 1.0 and 1e0 are equal), otherwise as they are written.
    The training labels therefore decide for all files whether labels are words or numbers.

    Attributes:
        names: Their names in the order of their codes.
        positions: Whether labels may be codes 0..n-1 instead of names, as in published data sets.
    """

    names: tuple[str, ...]
    positions: bool = False

    @classmethod
    def found(cls, labels: Iterable[str]) -> Classes:
        """The classes of some training labels: numbers in plain decimal in their order, or sorted words."""
        values = {label: value_of(label) for label in labels}
        numbers = {value for value in values.values() if value is not None}
        return cls(tuple(sorted(values) if None in values.values() else map(_plain, sorted(numbers))))

    @cached_property
    def by_value(self) -> bool:
        """Whether labels are compared as numbers."""
        values = {value_of(name) for name in self.names}
        return None not in values and len(values) == len(self.names)

    def codes(self, labels: Sequence[str]) -> list[int | None]:
        """The code of each label; None if it is not a class.

        Args:
            labels: Distinct labels of one split: either all are names or all are positions.
        """
        codes = [self._code.get(self._key(label)) for label in labels]
        if self.positions and not any(code is not None for code in codes):
            return [self._position.get(value_of(label)) for label in labels]
        return codes

    def are_positions(self, labels: Iterable[str]) -> bool:
        """Whether the labels are exactly the codes 0..n-1, each at least once."""
        return self._position.keys() == set(map(value_of, labels))

    def _key(self, label: str) -> str | Decimal | None:
        return value_of(label) if self.by_value else label

    @cached_property
    def _code(self) -> dict[str | Decimal | None, int]:
        return {self._key(name): code for code, name in enumerate(self.names)}

    @cached_property
    def _position(self) -> dict[Decimal | None, int]:
        # If a name is a number, positions and names cannot be told apart.
        if any(value_of(name) is not None for name in self.names):
            return {}
        return {Decimal(code): code for code in range(len(self.names))}


def listed(labels: Iterable[str]) -> str:
    """Labels for a message: the first few, shortened."""
    found = list(labels)
    return ", ".join(map(short, found[:MOST_LISTED])) + (f", ... ({len(found)})" if len(found) > MOST_LISTED else "")


def short(label: str) -> str:
    """The beginning of a label, on one line."""
    line = " ".join(label.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 3] + "..."


def _plain(value: Decimal) -> str:
    """A number in plain decimal, as short as possible: 1 for 1.0, 1e0 and 1.; 0 for -0."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
