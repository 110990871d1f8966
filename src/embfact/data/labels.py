"""Labels of a data set as class codes 0..n-1, or as finite targets."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from embfact.data.classes import Classes, is_number, listed, short, value_of
from embfact.data.source import Source
from embfact.errors import DataError

HIDDEN = "-1"  # the hub's value for the labels that GLUE keeps secret
REGRESSION = "for a regression set data.target=float"


class LabelError(DataError):
    """The labels do not form classes, or differ from the classes: an error of the data set, not of a single row."""


class UnknownLabelError(LabelError):
    """A split has a label that is not a class. The remedy depends on the command, so a caller may give its own.

    Attributes:
        what: The message without the remedy.
        labels: The distinct labels of the split.
    """

    def __init__(self, what: str, labels: tuple[str, ...]):
        self.what = what
        self.labels = labels
        super().__init__(f"{what}; label these rows like the training rows, or leave them out")


def distinct_labels(source: Source, label: str) -> tuple[str, ...]:
    """The distinct class labels of a split as text, in the order of their first rows.

    Raises:
        DataError: If a label is missing, or cannot be a class label.
    """
    return tuple(pc.unique(_as_words(source, label)).to_pylist()) if source.table.num_rows else ()


def found_classes(source: Source, label: str) -> Classes:
    """The classes of a training split whose data set does not name them.

    Raises:
        LabelError: If there are no rows, fewer than two classes, or numbers that are not whole: most likely targets.
        DataError: If a label is missing, or cannot be a class label.
    """
    classes = Classes.found(distinct_labels(source, label))
    if not classes.names:
        raise LabelError(f"{source.name} has no rows; give a file with at least one")
    if len(classes.names) < 2:
        raise LabelError(f"{source.name} has only one class ({classes.names[0]!r}); training needs at least two")
    if fractions := [name for name in classes.names if classes.by_value and "." in name]:
        raise LabelError(
            f"{source.name}: {label!r} holds numbers that are not whole ({listed(fractions)}), which are not class "
            f"labels (whole numbers or words); {REGRESSION}, or name the classes: data.label_names=[...]"
        )
    return classes


def class_codes(source: Source, label: str, classes: Classes) -> pa.Array:
    """Codes of the labels, int64.

    Raises:
        UnknownLabelError: With the first row whose label is not a class, the classes, and the labels of the split.
        DataError: With the first row whose label is missing, or cannot be a class label.
    """
    words = _as_words(source, label).dictionary_encode()
    labels = words.dictionary.to_pylist()
    codes = pa.array(classes.codes(labels), pa.int64()).take(words.indices)
    if codes.null_count:
        row = pc.index(codes.is_null(), True).as_py()
        unknown = short(words[row].as_py())
        raise UnknownLabelError(
            f"{source.where(row)}: label {unknown!r} is unknown; the classes are: {listed(classes.names)}; "
            f"{source.name} has the labels: {listed(sorted(labels))}",
            tuple(labels),
        )
    return codes


def targets(source: Source, label: str) -> pa.Array:
    """Targets of a regression, float64.

    Raises:
        DataError: With the first row whose target is missing, not a number, or not finite.
    """
    column = _column(source, label)
    if pa.types.is_string(column.type):
        words = [word.strip() for word in column.to_pylist()]
        column = pa.array([float(word) if is_number(word) else None for word in words], pa.float64())
    elif not (pa.types.is_integer(column.type) or _is_real(column.type)):
        raise DataError(f"{source.name}: {label!r} holds {column.type}, not numbers; data.target=float needs numbers")
    numbers = column.cast(pa.float64())
    finite = pc.fill_null(pc.is_finite(numbers), False)
    if not pc.all(finite).as_py():
        row = pc.index(finite, False).as_py()
        found = source.table.column(label)[row].as_py()
        raise DataError(f"{source.where(row)}: target {found!r} is not a finite number; fix or remove the row")
    return numbers


def are_hidden(source: Source, label: str) -> bool:
    """Whether every label is -1, the hub's value for secret labels."""
    column = source.column(label)
    if not (pa.types.is_string(column.type) or pa.types.is_integer(column.type) or _is_real(column.type)):
        return False
    return [value_of(str(value).strip()) for value in pc.unique(column).to_pylist()] == [value_of(HIDDEN)]


def _as_words(source: Source, label: str) -> pa.Array:
    """Class labels as text: strings stripped, numbers in decimal, false and true as 0 and 1."""
    column = _column(source, label)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int64())
    if pa.types.is_integer(column.type):
        return column.cast(pa.string())
    if _is_real(column.type):
        finite = pc.is_finite(column.cast(pa.float64()))
        if not pc.all(finite).as_py():
            row = pc.index(finite, False).as_py()
            raise DataError(f"{source.where(row)}: the label {column[row]} is not finite; fix or remove the row")
        return column.cast(pa.string())
    if not pa.types.is_string(column.type):
        raise DataError(
            f"{source.name}: {label!r} holds {column.type}, not class labels (whole numbers or words); {REGRESSION}"
        )
    words = pc.utf8_trim_whitespace(column)
    source.refuse(pc.equal(words, ""), "the label is empty; every row needs one")
    return words


def _is_real(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _column(source: Source, label: str) -> pa.Array:
    """The label column without missing values."""
    column = source.column(label)
    source.refuse(column.is_null(nan_is_null=True), "the label is missing or NaN; every row needs one")
    return column
