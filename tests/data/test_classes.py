"""Labels are one class exactly where they are one number, or one word."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from embfact.data.classes import Classes, listed

FORMS = ["{0}", "{0}.0", "{0}.", "{0}e0", "{0}00E-2", "{0}.000e+00"]
numbers = st.builds(lambda number, form: form.format(number), st.integers(-(2**80), 2**80), st.sampled_from(FORMS))
near = st.builds(lambda number, form: form.format(number), st.integers(2**53 - 2, 2**53 + 2), st.sampled_from(FORMS))
letters = st.text(st.characters(categories=["L"]), min_size=1, max_size=4)
words = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=4)


@given(st.lists(numbers | near, min_size=1, max_size=30))
def test_numbers_are_compared_by_their_exact_value(labels: list[str]) -> None:
    classes = Classes.found(labels)
    assert [Fraction(name) for name in classes.names] == sorted({Fraction(label) for label in labels})
    assert all(name == str(int(name)) for name in classes.names)
    codes = classes.codes(labels)
    assert [classes.names[code or 0] for code in codes] == [str(Fraction(label)) for label in labels]


@given(
    st.lists(numbers | words, max_size=30), st.sampled_from(["01", "nan", "inf", "1_0", "\u0661", "0x1", "1e999", "a"])
)
def test_one_word_makes_all_of_them_words(labels: list[str], word: str) -> None:
    classes = Classes.found([*labels, word])
    assert list(classes.names) == sorted({*labels, word})
    assert [classes.names[code or 0] for code in classes.codes(labels)] == labels


@given(st.lists(letters | st.sampled_from(["0", "1", "7"]), min_size=1, max_size=9, unique=True), st.data())
def test_positions_are_all_of_the_codes_and_nothing_else(names: list[str], data: st.DataObject) -> None:
    classes = Classes(tuple(names))
    labels = data.draw(st.lists(st.integers(-1, len(names)), min_size=1))
    numeric = any(name in "017" for name in names)
    complete = set(labels) == set(range(len(names)))
    assert classes.are_positions([f"{label}.0" for label in labels]) == (complete and not numeric)


def test_a_list_for_a_message_is_short() -> None:
    assert listed(["1", "2"]) == "1, 2"
    assert listed(map(str, range(12))).endswith("8, 9, ... (12)")
    assert len(listed(["word\n" * 1000] * 50)) < 500
