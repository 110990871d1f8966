"""Texts and labels come out checked and coded, or the first bad row is named."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from embfact.data.labels import class_names
from embfact.data.rows import checked_rows
from embfact.data.source import Source
from embfact.errors import DataError


def source(labels: Any, texts: Any = None) -> Source:
    texts = texts if texts is not None else [f"text {row}" for row in range(len(labels))]
    return Source("a.parquet", pa.table({"text": texts, "label": labels}))


def coded(labels: Any, names: tuple[str, ...] | None, **options: bool) -> list[Any]:
    return checked_rows(source(labels), ["text"], "label", names, **options).column("label").to_pylist()


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
    ],
)
def test_classes_are_numbered_in_their_order(labels: Any, names: tuple[str, ...], codes: list[int]) -> None:
    assert class_names(source(labels), "label") == names
    assert coded(labels, names) == codes


@pytest.mark.parametrize("labels", [[1, 0], ["1", "0"], ["positive", "negative"]])
def test_given_names_take_codes_or_the_names_themselves(labels: list[Any]) -> None:
    assert coded(labels, ("negative", "positive")) == [1, 0]


def test_names_that_are_numbers_are_never_taken_for_codes() -> None:
    with pytest.raises(DataError, match=r"row 0 .*label '0' is unknown; the classes are: 1, 2"):
        coded([0, 1], ("1", "2"))


def test_targets_come_as_float64_from_numbers_and_from_csv() -> None:
    assert coded(["2.5", "1e-1", "-3"], None) == [2.5, 0.1, -3.0]
    assert coded([1, 2], None) == [1.0, 2.0]


def test_a_pair_has_two_texts_and_ids_are_row_numbers() -> None:
    table = pa.table({"first": ["a", "b"], "second": ["c", "d"], "label": [0, 1]})
    rows = checked_rows(Source("a", table), ["first", "second"], "label", ("0", "1"))
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
        return checked_rows(Source("qqp", table), ["first", "second"], "label", ("0", "1"), allow_empty_side=lenient)

    assert rows("why", "", lenient=True).num_rows == 2
    for first, second, lenient in [("why", "", False), (" ", "", True)]:
        with pytest.raises(DataError, match=r"row 1 .* is empty"):
            rows(first, second, lenient)


@pytest.mark.parametrize("blank", ["", "  ", "\t\n", "\u00a0\u2003"])
def test_a_text_of_spaces_alone_is_refused(blank: str) -> None:
    with pytest.raises(DataError, match=r"a.parquet, row 1 \(counted from 0\): the text in 'text' is empty"):
        checked_rows(source([0, 1], ["x", blank]), ["text"], "label", ("0", "1"))


@pytest.mark.parametrize(
    ("labels", "texts", "names", "words"),
    [
        ([0, 1], ["x", None], ("0", "1"), "row 1 .*text in 'text' is missing"),
        ([0, 1], [1, 2], ("0", "1"), "'text' holds int64, not text"),
        ([0, None], None, ("0", "1"), "row 1 .*label is missing or NaN"),
        ([None, None], None, ("0", "1"), "row 0 .*label is missing or NaN"),
        ([0.0, float("nan")], None, ("0", "1"), "row 1 .*label is missing or NaN"),
        ([0.5, 1.0], None, ("0", "1"), "holds double, not class labels .*data.target=float"),
        (["a", " "], None, ("a", "b"), "row 1 .*label is empty"),
        (["a", "c"], None, ("a", "b"), "row 1 .*label 'c' is unknown; the classes are: a, b"),
        ([0, 7], None, ("no", "yes"), "row 1 .*label '7' is unknown; the classes are: no, yes"),
        ([1.0, float("nan")], None, None, "row 1 .*missing or NaN"),
        ([1.0, float("inf")], None, None, "row 1 .*target inf is not a finite number"),
        (["1.0", "high"], None, None, "row 1 .*target 'high' is not a finite number"),
        (["1.0", "nan"], None, None, "row 1 .*target 'nan' is not a finite number"),
        ([True, False], None, None, "'label' holds bool, not numbers"),
        ([], [], ("0", "1"), "a.parquet has no rows"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_row(labels: Any, texts: Any, names: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        checked_rows(source(labels, texts), ["text"], "label", names)


def test_one_class_is_not_enough_to_train_on() -> None:
    with pytest.raises(DataError, match="one class only"):
        class_names(source(["a", "a"]), "label")
