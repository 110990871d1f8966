"""The held-out slice is honest, fixed by its seed, and refuses to swallow the training rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embfact.data.splits import containing_sentences, draw, hold_out
from embfact.errors import DataError

phrases = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=5).map(" ".join), min_size=1, max_size=25)


def rows(texts: list[str]) -> pa.Table:
    return pa.table({"id": range(len(texts)), "text": texts, "label": [0] * len(texts)})


def is_part(text: str, other: str) -> bool:
    """Whether the tokens of one text are a run of those of another, by the definition."""
    part, whole = text.split(), other.split()
    return any(whole[start : start + len(part)] == part for start in range(len(whole) - len(part) + 1))


@given(phrases)
def test_containing_sentences_are_those_of_the_definition(texts: list[str]) -> None:
    whole = [
        row
        for row, text in enumerate(texts)
        if text not in texts[:row] and not any(is_part(text, other) and other != text for other in texts)
    ]
    expected = [[row for row in whole if is_part(text, texts[row])] for text in texts]
    assert containing_sentences(texts) == expected


@given(phrases, st.integers(1, 10), st.integers(0, 5))
def test_no_held_out_row_is_part_of_a_training_row(texts: list[str], size: int, seed: int) -> None:
    try:
        held_out, selection = hold_out(rows(texts), size, seed, whole_sentences=True)
    except DataError:
        return
    training = [text for text, out in zip(texts, held_out, strict=True) if not out]
    assert training
    # Selected on are as many different whole sentences as asked for, all of them held out.
    chosen = [text for text, selected in zip(texts, selection, strict=True) if selected]
    assert len(chosen) == len(set(chosen)) == size
    assert not any(is_part(text, other) for text in chosen for other in texts if other != text)
    assert not (selection & ~held_out).any()
    assert not any(is_part(text, other) for text, out in zip(texts, held_out, strict=True) if out for other in training)


@given(phrases, st.integers(1, 24), st.integers(0, 5))
def test_equal_texts_never_stand_on_both_sides(texts: list[str], size: int, seed: int) -> None:
    texts = [text.upper() if row % 2 else f"{text} " for row, text in enumerate(texts)]
    try:
        held_out, selection = hold_out(rows(texts), size, seed)
    except DataError:
        return
    assert np.array_equal(held_out, selection)
    sides = [
        {text.lower().strip() for text, out in zip(texts, held_out, strict=True) if out == side} for side in (0, 1)
    ]
    assert not sides[0] & sides[1]
    assert 0 < held_out.sum() <= size


def test_the_slice_has_the_asked_size_and_depends_on_the_seed_alone() -> None:
    table = rows([f"text {row}" for row in range(1000)])
    first, again, other = (hold_out(table, 100, seed)[1] for seed in (0, 0, 1))
    assert first.sum() == 100
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert hold_out(table, 0.25, 0)[1].sum() == 250
    assert not np.any(hold_out(table, 0, 0))


def test_pairs_are_equal_only_if_both_sides_are() -> None:
    table = pa.table({"id": range(4), "text": ["a"] * 4, "text_pair": list("wxyz"), "label": [0] * 4})
    assert hold_out(table, 2, 0)[0].sum() == 2


@pytest.mark.parametrize(("texts", "size"), [(["a", "b"], 2), (["a", "b"], 500), (["a", "b"], 0.9), (["a"] * 5, 3)])
def test_a_slice_that_leaves_nothing_is_refused(texts: list[str], size: float) -> None:
    with pytest.raises(DataError, match=f"data.selection_size={size} .* {len(texts)} training rows"):
        hold_out(rows(texts), size, 0)


def test_drawn_rows_are_fixed_and_in_order() -> None:
    table = rows([f"text {row}" for row in range(100)])
    drawn = [draw(table, 10, seed, option="data.train_size", split="train") for seed in (0, 0, 1)]
    ids = [table.column("id").to_pylist() for table in drawn]
    assert ids[0] == ids[1] == sorted(set(ids[0])) != ids[2]
    assert draw(table, None, 0, option="data.train_size", split="train") is table


def test_more_rows_than_there_are_cannot_be_drawn() -> None:
    with pytest.raises(DataError, match=r"data.eval_size=9 is more than the 3 rows of validation; use at most 3"):
        draw(rows(["a", "b", "c"]), 9, 0, option="data.eval_size", split="validation")
