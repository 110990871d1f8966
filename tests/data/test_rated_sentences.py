"""Rated sentences: two classes by the sign, or the rating itself; whatever belongs together stays on one side."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embfact.data.rated_sentences import read_rated_sentences
from embfact.data.sentence_archive import PATH_IN_CACHE, read_member
from embfact.data.splits import hold_out
from embfact.data.text import TextData, load_split, load_text
from embfact.errors import DataError
from tests.helpers.sentence_index import FILES, tar_of

COLLECTIONS = dict(zip(("movies", "tweets", "products", "editorials"), FILES.values(), strict=True))


@pytest.fixture
def packed(tmp_path: Path) -> Any:
    """Packs lines as one collection of an archive."""

    def pack(collection: str, text: str) -> Path:
        path = tmp_path / "hutto_ICWSM_2014.tar.gz"
        path.write_bytes(tar_of({COLLECTIONS[collection]: text}))
        return path

    return pack


def rows(archive: Path, collection: str, target: str = "class") -> dict[str, list[tuple[str, float]]]:
    """Sentence and label of every row, by split."""
    found = {}
    for split in ("train", "test"):
        table = read_rated_sentences(archive, collection, split, "sentence", "sign", target).table.to_pydict()
        found[split] = list(zip(table["sentence"], table["sign"], strict=True))
    return found


LINES = [("1", 2.26, "A splash."), ("2", -0.6, "Tepid."), ("3", 0.0, "A film."), ("4", 0.05, "Well, \u2028 well.")]


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_classes_are_the_signs_and_zeros_are_left_out_unless_the_rating_is_the_target(packed: Any, end: str) -> None:
    path = packed("movies", "\ufeff" + end.join(f"{key}\t{rating}\t{text}" for key, rating, text in LINES) + end * 2)
    signs = rows(path, "movies")
    assert sorted(signs["train"] + signs["test"]) == [("A splash.", 1), ("Tepid.", 0), ("Well, \u2028 well.", 1)]
    ratings = rows(path, "movies", "float")
    assert sorted(ratings["train"] + ratings["test"]) == sorted((text, rating) for _, rating, text in LINES)
    for split, found in signs.items():
        assert {text for text, _ in found} <= {text for text, _ in ratings[split]}


def test_the_side_of_a_row_is_the_hash_of_what_it_belongs_to(packed: Any) -> None:
    def is_test(collection: str, group: str) -> bool:
        return int(hashlib.sha256(f"{collection}\t{group}".encode()).hexdigest()[:16], 16) / 2**64 < 0.2

    texts = [f"Sentence {row}, which isn't one!" for row in range(300)]
    found = rows(packed("tweets", "\n".join(f"{row}\t1.5\t{text}" for row, text in enumerate(texts))), "tweets")
    assert [text for text, _ in found["test"]] == [
        text for text in texts if is_test("tweets", re.sub("[^a-z0-9]", "", text.lower()))
    ]
    ids = [(source, place) for source in range(1, 61) for place in range(1, 6)]
    lines = [f"{source}_{place}\t1.5\tSentence {source} {place}" for source, place in ids]
    found = rows(packed("products", "\n".join(lines)), "products")
    assert [text for text, _ in found["test"]] == [
        f"Sentence {source} {place}" for source, place in ids if is_test("products", str(source))
    ]


words = st.sampled_from(["Fine", "fine.", "FINE !", "dull", "Dull?", "it's a film", "its a Film!", "!", "a"])


@pytest.mark.parametrize("collection", COLLECTIONS)
@given(st.lists(st.tuples(st.integers(1, 8), words), min_size=2, max_size=40), st.integers(1, 10), st.integers(0, 3))
def test_no_sentence_and_no_source_text_stands_on_two_sides(
    collection: str, tmp_path_factory: pytest.TempPathFactory, given_rows: list[tuple[int, str]], size: int, seed: int
) -> None:
    by_source = collection in ("products", "editorials")
    key = "{source}_{row}" if by_source else "{row}"
    lines = [f"{key.format(source=s, row=row)}\t1.0\t{text}" for row, (s, text) in enumerate(given_rows)]
    path = tmp_path_factory.getbasetemp() / f"{collection}.tar.gz"
    path.write_bytes(tar_of({COLLECTIONS[collection]: "\n".join(lines)}))
    sides: dict[str, set[str]] = defaultdict(set)
    sources: dict[int, set[str]] = defaultdict(set)
    plain = [re.sub("[^a-z0-9]", "", text.lower()) for _, text in given_rows]

    def note(side: str, line: int) -> None:
        sides[plain[line - 1]].add(side)
        if plain[line - 1] not in plain[: line - 1]:  # one that recurs goes with the text that had it first
            sources[given_rows[line - 1][0]].add(side)

    test = read_rated_sentences(path, collection, "test", "text", "label", "class")
    train = read_rated_sentences(path, collection, "train", "text", "label", "class")
    assert len(test.table) + len(train.table) == len(given_rows)
    for line in test.lines or []:
        note("test", line)
    try:
        held_out, _ = hold_out(train.table, size, seed, groups=train.groups)
    except DataError:
        held_out = np.zeros(len(train.table), dtype=bool)
    for out, line in zip(held_out, train.lines or [], strict=True):
        note("selection" if out else "train", line)
    assert all(len(found) == 1 for found in sides.values())
    assert not by_source or all(len(found) == 1 for found in sources.values())


BAD = {
    "no rating": "1\thigh\tA film.",
    "no sentence": "1\t1.5",
    "another column": "1\t1.5\tA film.\tmore",
    "a rating beyond the scale": "1\t4.5\tA film.",
    "no number": "1\tnan\tA film.",
}


@pytest.mark.parametrize("case", BAD)
def test_a_line_that_is_no_rating_is_told_with_its_number(packed: Any, case: str) -> None:
    path = packed("movies", f"1\t1.0\tFine.\r\n{BAD[case]}\r\n")
    with pytest.raises(DataError, match=f"{COLLECTIONS['movies']} of {path}, line 2: found"):
        rows(path, "movies")


def test_an_archive_of_other_things_and_another_split_are_refused(packed: Any) -> None:
    path = packed("movies", "1\t1.0\tFine.")
    with pytest.raises(DataError, match=COLLECTIONS["tweets"]):
        rows(path, "tweets")
    with pytest.raises(DataError, match="no split 'validation'; use one of: test, train"):
        read_rated_sentences(path, "movies", "validation", "text", "label", "class")
    path.write_bytes(tar_of({COLLECTIONS["movies"]: "1\t1.0\tDéjà vu.".encode("latin-1")}))
    with pytest.raises(DataError, match="is not UTF-8"):
        rows(path, "movies")


def named(config: Any, collection: str, archive: Path, **options: Any) -> Any:
    usual = {"source": "rated_sentences", "collection": collection, "archive": str(archive)}
    return config(**usual, report_splits=["test"], **options)


def test_whole_reviews_are_held_out_and_each_collection_is_data_of_its_own(config: Any, sentences: Path) -> None:
    loaded = {name: load_text(named(config, name, sentences, selection_size=50), None) for name in COLLECTIONS}
    assert len({text.fingerprint for text in loaded.values()}) == 4
    products = loaded["products"]
    assert products.selection is not None
    parts = (products.train, products.selection, products.reports["test"])
    reviews = [{int(re.findall(r"\d+", text)[0]) // 5 for text in part["text"].to_pylist()} for part in parts]
    assert sum(map(len, reviews)) == len(set.union(*reviews)) == 80
    assert str(sentences) not in products.origin


def test_a_split_is_read_by_itself_in_the_codes_of_a_run(config: Any, sentences: Path) -> None:
    names = ["negative", "positive"]
    data = named(config, "movies", sentences, label_names=names)
    whole = load_text(data, None)
    assert load_split(data, None, "test", names).equals(whole.reports["test"])


def test_an_own_copy_that_is_not_there_is_told(config: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.archive: there is no file .*absent"):
        load_text(named(config, "movies", tmp_path / "absent"), None)


# As docs/data.md has them: rows, rows of a mean of zero, fewest raters; rows with a class in train and in test.
PUBLISHED = {
    "movies": (10_605, 37, 15, 8_530, 2_038),
    "tweets": (4_200, 4, 20, 3_384, 812),
    "products": (3_708, 98, 20, 2_969, 641),
    "editorials": (5_190, 244, 20, 3_794, 1_152),
}


@pytest.mark.parametrize("collection", PUBLISHED)
def test_the_papers_own_archive_has_its_published_rows(real_sentences: Path, config: Any, collection: str) -> None:
    def load(**options: Any) -> TextData:
        data = named(config, collection, real_sentences / PATH_IN_CACHE, selection_size=300, **options)
        return load_text(data, None)

    count, zeros, raters, train, test = PUBLISHED[collection]
    rated = load(target="float", metrics=["pearson"])
    classes = load(label_names=["negative", "positive"])
    for text, expected in ((rated, count), (classes, count - zeros)):
        assert text.selection is not None
        parts = (text.train, text.selection, text.reports["test"])
        assert sum(map(len, parts)) == expected
        keys = [{re.sub("[^a-z0-9]", "", sentence.lower()) for sentence in part["text"].to_pylist()} for part in parts]
        assert sum(map(len, keys)) == len(set.union(*keys))
    assert len(classes.train) + len(classes.selection or []) == train
    assert len(classes.reports["test"]) == test
    name = f"hutto_ICWSM_2014/{COLLECTIONS[collection]}".replace("GroundTruth", "anonDataRatings")
    lines = read_member(real_sentences / PATH_IN_CACHE, name).decode("utf-8-sig").splitlines()
    assert len(lines) == count
    assert min(line.count(",") + 1 for line in lines) == raters
