"""The embedded data set has a fixed, stratified split without a term on both sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from embfact.data.fingerprint import locate
from embfact.data.vader import read_vader
from embfact.errors import DataError


@pytest.fixture(scope="module")
def lexicon() -> Path:
    from embfact.config.data_config import DataConfig

    data = DataConfig(
        name="vader", source="vader", text=["text"], label="label", metrics=["accuracy"], selection_size=0
    )
    return locate(data, None).files["lexicon"]


def test_the_split_is_stratified_and_no_term_stands_on_both_sides(lexicon: Path) -> None:
    train, test = (read_vader(lexicon, split, "term", "sign").table.to_pydict() for split in ("train", "test"))
    terms = {line.split("\t")[0].lower() for line in lexicon.read_text(encoding="utf-8").splitlines()}
    assert set(train["term"]) | set(test["term"]) == terms
    assert len(train["term"]) + len(test["term"]) == len(terms)
    assert len(test["term"]) == pytest.approx(0.2 * len(terms), abs=2)
    assert sum(test["sign"]) / len(test["sign"]) == pytest.approx(sum(train["sign"]) / len(train["sign"]), abs=1e-3)


def test_classes_are_the_signs_of_the_mean_ratings(tmp_path: Path) -> None:
    ratings = [("great", 3.1), ("Great", 2.0), ("so", 0.0), ("awful", -2.5), ("d:", 1.2), ("D:", -2.9)]
    path = tmp_path / "vader_lexicon.txt"
    path.write_text("".join(f"{term}\t{rating}\t0.5\t[]\n" for term, rating in ratings), encoding="utf-8")
    rows: dict[str, int] = {}
    for split in ("train", "test"):
        table = read_vader(path, split, "text", "label").table.to_pydict()
        rows |= dict(zip(table["text"], table["label"], strict=True))
    assert rows == {"great": 1, "awful": 0, "d:": 0}


def test_another_split_is_refused(lexicon: Path) -> None:
    with pytest.raises(DataError, match="no split 'validation'; use one of: test, train"):
        read_vader(lexicon, "validation", "text", "label")
