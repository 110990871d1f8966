"""Labels of a data set as class codes 0..n-1, or as finite targets."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from embfact.data.source import Source
from embfact.errors import DataError

HIDDEN = "-1"  # what the hub has in place of the labels that GLUE keeps secret
WHOLE = re.compile(r"[+-]?[0-9]+")


def class_names(source: Source, label: str) -> tuple[str, ...]:
    """The classes of a training split: its distinct labels, numbers in their order, words sorted.

    Raises:
        DataError: If a label is missing or no class label, or there are fewer than two classes.
    """
    values = pc.unique(_as_words(source, label)).to_pylist()
    names = sorted(values, key=int) if all(WHOLE.fullmatch(value) for value in values) else sorted(values)
    if len(names) < 2:
        raise DataError(f"{source.name} has one class only ({names[0]!r}); training needs at least two")
    return tuple(names)


def class_codes(source: Source, label: str, names: Sequence[str]) -> pa.Array:
    """Codes of the labels, int64: the position of each in ``names``.

    Labels that are whole numbers are codes already, unless the names are numbers themselves.

    Raises:
        DataError: With the first row whose label is missing or unknown.
    """
    words = _as_words(source, label)
    codes = pc.index_in(words, pa.array(names, pa.string()))
    if codes.null_count and not any(WHOLE.fullmatch(name) for name in names):
        numbers = pc.index_in(words, pa.array([str(code) for code in range(len(names))], pa.string()))
        codes = numbers if codes.null_count == len(codes) else codes
    if codes.null_count:
        row = pc.index(codes.is_null(), True).as_py()
        known = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise DataError(f"{source.where(row)}: label {words[row].as_py()!r} is unknown; the classes are: {known}")
    return codes.cast(pa.int64())


def targets(source: Source, label: str) -> pa.Array:
    """Targets of a regression, float64.

    Raises:
        DataError: With the first row whose target is missing, no number, or not finite.
    """
    column = _column(source, label)
    if pa.types.is_string(column.type):
        column = pa.array([_number(word) for word in column.to_pylist()], pa.float64())
    elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise DataError(f"{source.name}: {label!r} holds {column.type}, not numbers; data.target=float needs numbers")
    numbers = column.cast(pa.float64())
    finite = pc.fill_null(pc.is_finite(numbers), False)
    if not pc.all(finite).as_py():
        row = pc.index(finite, False).as_py()
        found = source.table.column(label)[row].as_py()
        raise DataError(f"{source.where(row)}: target {found!r} is not a finite number; mend or remove the row")
    return numbers


def are_hidden(source: Source, label: str) -> bool:
    """Whether every label is -1: the hub's sign for labels that are kept secret."""
    values = pc.unique(source.table.column(label)).to_pylist()
    return len(values) == 1 and str(values[0]) in (HIDDEN, f"{HIDDEN}.0")


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _as_words(source: Source, label: str) -> pa.Array:
    """Class labels as text: strings stripped, whole numbers in decimal."""
    column = _column(source, label)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int64())
    if pa.types.is_integer(column.type):
        return column.cast(pa.string())
    if not pa.types.is_string(column.type):
        raise DataError(
            f"{source.name}: {label!r} holds {column.type}, not class labels (whole numbers or words); "
            "for a regression set data.target=float"
        )
    words = pc.utf8_trim_whitespace(column)
    if pc.any(pc.equal(words, "")).as_py():
        row = pc.index(words, "").as_py()
        raise DataError(f"{source.where(row)}: the label is empty; every row needs one")
    return words


def _column(source: Source, label: str) -> pa.Array:
    """The label column in one piece, missing values refused."""
    column = source.table.column(label).combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    missing = column.is_null(nan_is_null=True)
    if pc.any(missing).as_py():
        row = pc.index(missing, True).as_py()
        raise DataError(f"{source.where(row)}: the label is missing or NaN; every row needs one")
    return column
