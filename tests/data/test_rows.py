"""Texts and labels come out checked and coded, or the first bad row is named."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from embfact.data.classes import Classes
from embfact.data.labels import LabelError, found_classes
from embfact.data.rows import checked_rows
from embfact.data.source import Source
from embfact.errors import DataError

BINARY = Classes(("0", "1"))
# Bytes that a file only claims to be text: one of them begins a character that never ends.
NOT_UTF8 = pa.Array.from_buffers(
    pa.string(), 2, [None, pa.py_buffer(pa.array([0, 1, 2], pa.int32()).buffers()[1]), pa.py_buffer(b"x\xff")]
)


def source(labels: Any, texts: Any = None) -> Source:
    texts = texts if texts is not None else [f"text {row}" for row in range(len(labels))]
    return Source("a.parquet", pa.table({"text": texts, "label": labels}))


def coded(labels: Any, names: tuple[str, ...] | None, positions: bool = False, **options: bool) -> list[Any]:
    classes = None if names is None else Classes(names, positions)
    return checked_rows(source(labels), ["text"], "label", classes, **options).column("label").to_pylist()


@pytest.mark.parametrize(
    ("labels", "names", "codes"),
    [
        (["good", "bad", "good"], ("bad", "good"), [1, 0, 1]),
        (["10", "9", "10"], ("9", "10"), [1, 0, 1]),
        ([3, 5, 3], ("3", "5"), [0, 1, 0]),
        ([1, 0, 2], ("0", "1", "2"), [1, 0, 2]),
        ([-1, 1, -1], ("-1", "1"), [0, 1, 0]),
        ([True, False], ("0", "1"), [1, 0]),
        ([" yes", "no "], ("no", "yes"), [1, 0]),
        (pa.array(["b", "a"]).dictionary_encode(), ("a", "b"), [1, 0]),
        (pa.array(["b", "a"], pa.large_string()), ("a", "b"), [1, 0]),
        (pa.array(["b", "a"], pa.string_view()), ("a", "b"), [1, 0]),
        (pa.array([3, 1, 3]).dictionary_encode(), ("1", "3"), [1, 0, 1]),
        ([2.0, 10.0], ("2", "10"), [0, 1]),
        (["2.0", "10.0", "1e1", "+2"], ("2", "10"), [0, 1, 1, 0]),
        (pa.array([2.0, 10.0], pa.float16()), ("2", "10"), [0, 1]),
        ([Decimal("2.00"), Decimal("10.00")], ("2", "10"), [0, 1]),
        ([2**53, 2**53 + 1], ("9007199254740992", "9007199254740993"), [0, 1]),
        (["-0", "0.0", "1"], ("0", "1"), [0, 0, 1]),
        (["01", "1"], ("01", "1"), [0, 1]),
        (["1", "1.0", "one"], ("1", "1.0", "one"), [0, 1, 2]),
        (["1_0", "10"], ("10", "1_0"), [1, 0]),
        (["\u0661", "1"], ("1", "\u0661"), [1, 0]),
        (["nan", "1"], ("1", "nan"), [1, 0]),
        (["1e999", "1"], ("1", "1e999"), [1, 0]),
    ],
)
def test_classes_are_numbered_in_their_order(labels: Any, names: tuple[str, ...], codes: list[int]) -> None:
    classes = found_classes(source(labels), "label")
    assert classes.names == names
    assert coded(labels, names) == codes


@pytest.mark.parametrize("labels", [[1, 0], ["1", "0"], [1.0, 0.0], [True, False], ["positive", "negative"]])
def test_positions_of_names_are_taken_where_the_data_set_has_them(labels: list[Any]) -> None:
    assert coded(labels, ("negative", "positive"), positions=True) == [1, 0]


@pytest.mark.parametrize(
    ("labels", "positions"),
    [([1, 0], False), ([1, 2], True), (["1", "negative"], True), (["01", "0"], True), ([0.5, 1.0], True)],
)
def test_what_is_no_name_is_never_guessed_to_be_one(labels: list[Any], positions: bool) -> None:
    with pytest.raises(LabelError, match=r"is unknown; the classes are: negative, positive; a.parquet has the labels"):
        coded(labels, ("negative", "positive"), positions)


def test_a_position_beyond_the_names_is_refused_with_its_row() -> None:
    with pytest.raises(DataError, match=r"row 1 .*label '7' is unknown; the classes are: no, yes"):
        coded([0, 7], ("no", "yes"), positions=True)


def test_names_that_are_numbers_are_never_taken_for_positions() -> None:
    with pytest.raises(DataError, match=r"row 0 .*label '0' is unknown; the classes are: 1, 2"):
        coded([0, 1], ("1", "2"), positions=True)


@pytest.mark.parametrize("labels", [[0.5, 1.5], ["0.5", "1.5"]])
def test_numbers_that_are_not_whole_are_classes_only_where_they_are_named(labels: list[Any]) -> None:
    with pytest.raises(LabelError, match=r"not whole \(0.5, 1.5\).* data.target=float, .*data.label_names="):
        found_classes(source(labels), "label")
    assert coded(labels, ("1.50", "0.5")) == [1, 0]


def test_a_message_holds_the_beginnings_of_labels_that_are_whole_texts() -> None:
    long = [f"text {row} " + "word " * 1000 for row in range(50)]
    with pytest.raises(LabelError) as refused:
        coded(long, tuple(text.upper() for text in long))
    assert len(str(refused.value)) < 1500


def test_targets_come_as_float64_from_numbers_and_from_csv() -> None:
    assert coded(["2.5", "1e-1", " -3", "007"], None) == [2.5, 0.1, -3.0, 7.0]
    assert coded([Decimal("2.50"), Decimal("3.00")], None) == [2.5, 3.0]
    assert coded([1, 2], None) == [1.0, 2.0]


def test_a_pair_has_two_texts_and_ids_are_row_numbers() -> None:
    table = pa.table({"first": ["a", "b"], "second": ["c", "d"], "label": [0, 1]})
    rows = checked_rows(Source("a", table), ["first", "second"], "label", BINARY)
    assert rows.to_pydict() == {"id": [0, 1], "text": ["a", "b"], "text_pair": ["c", "d"], "label": [0, 1]}
    assert rows.schema.types == [pa.int64(), pa.string(), pa.string(), pa.int64()]


def test_hidden_labels_are_null_where_they_are_allowed_and_refused_elsewhere() -> None:
    assert coded([-1, -1], ("no", "yes"), allow_hidden=True) == [None, None]
    assert coded([-1.0, -1.0], None, allow_hidden=True) == [None, None]
    with pytest.raises(DataError, match=r"labels are hidden .* report on validation"):
        coded([-1, -1], ("no", "yes"))


def test_published_pairs_may_have_one_empty_side_but_not_two() -> None:
    def rows(first: str, second: str, lenient: bool) -> pa.Table:
        table = pa.table({"first": ["x", first], "second": ["y", second], "label": [0, 1]})
        return checked_rows(Source("qqp", table), ["first", "second"], "label", BINARY, allow_empty_side=lenient)

    assert rows("why", "", lenient=True).num_rows == 2
    for first, second, lenient in [("why", "", False), (" ", "", True)]:
        with pytest.raises(DataError, match=r"row 1 .* is empty"):
            rows(first, second, lenient)


@pytest.mark.parametrize("blank", ["", "  ", "\t\n", "\u00a0\u2003"])
def test_a_text_of_spaces_alone_is_refused(blank: str) -> None:
    with pytest.raises(DataError, match=r"a.parquet, row 1 \(counted from 0\): the text in 'text' is empty"):
        checked_rows(source([0, 1], ["x", blank]), ["text"], "label", BINARY)


@pytest.mark.parametrize(
    ("labels", "texts", "names", "words"),
    [
        ([0, 1], ["x", None], ("0", "1"), "row 1 .*text in 'text' is missing"),
        ([0, 1], [1, 2], ("0", "1"), "'text' holds int64, not text"),
        ([0, None], None, ("0", "1"), "row 1 .*label is missing or NaN"),
        ([None, None], None, ("0", "1"), "row 0 .*label is missing or NaN"),
        ([0.0, float("nan")], None, ("0", "1"), "row 1 .*label is missing or NaN"),
        ([0.5, 1.0], None, ("0", "1"), "row 0 .*label '0.5' is unknown; the classes are: 0, 1"),
        ([0.0, float("inf")], None, ("0", "1"), "row 1 .*label inf is not finite"),
        ([b"a", b"b"], None, ("a", "b"), "holds binary, not class labels .*data.target=float"),
        ([["a"], ["b"]], None, ("a", "b"), "holds list.*, not class labels"),
        ([datetime(2020, 1, 1, tzinfo=UTC)] * 2, None, ("a", "b"), "holds timestamp.*, not class labels"),
        ([0, 1], [b"x", b"y"], ("0", "1"), "'text' holds binary, not text"),
        ([0, 1], [["x"], ["y"]], ("0", "1"), "'text' holds list.*, not text"),
        ([0, 1], NOT_UTF8, ("0", "1"), "'text' is damaged, or not UTF-8"),
        (["a", " "], None, ("a", "b"), "row 1 .*label is empty"),
        (["a", "c"], None, ("a", "b"), "row 1 .*label 'c' is unknown; the classes are: a, b"),
        ([1.0, float("nan")], None, None, "row 1 .*missing or NaN"),
        ([1.0, float("inf")], None, None, "row 1 .*target inf is not a finite number"),
        (["1.0", "high"], None, None, "row 1 .*target 'high' is not a finite number"),
        (["1.0", "nan"], None, None, "row 1 .*target 'nan' is not a finite number"),
        (["1.0", "1_000"], None, None, "row 1 .*target '1_000' is not a finite number"),
        (["1.0", "\u0661"], None, None, "row 1 .*target .* is not a finite number"),
        ([True, False], None, None, "'label' holds bool, not numbers"),
        ([], [], ("0", "1"), "a.parquet has no rows"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_row(labels: Any, texts: Any, names: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        checked_rows(source(labels, texts), ["text"], "label", None if names is None else Classes(names))


@pytest.mark.parametrize("labels", [["a", "a"], ["1", "1.0"]])
def test_one_class_is_not_enough_to_train_on(labels: list[str]) -> None:
    with pytest.raises(LabelError, match="only one class"):
        found_classes(source(labels), "label")
