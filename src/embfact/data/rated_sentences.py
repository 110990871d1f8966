"""Sentences of film and product reviews, tweets and newspaper editorials, rated for sentiment: from -4 to 4.

Hutto and Gilbert, ICWSM 2014; see `embfact.data.sentence_archive`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from embfact.config.data_config import Collection, TargetKind
from embfact.data.sentence_archive import read_member
from embfact.data.source import Source
from embfact.errors import DataError, nearest

SPLITS = ("train", "test")
STRONGEST = 4.0
FILES: dict[Collection, str] = {
    "movies": "movieReviewSnippets",
    "tweets": "tweets",
    "products": "amazonReviewSnippets",
    "editorials": "nytEditorialSnippets",
}


def read_rated_sentences(
    archive: Path, collection: Collection, split: str, text: str, label: str, target: TargetKind
) -> Source:
    """One split of a collection.

    A fifth is the test split, chosen by a hash. A review or an editorial stays together, there and in every held-out
    slice, if the rows say which one they are from; otherwise a sentence and its repetitions do. A sentence that recurs
    in another review goes with the first.

    Args:
        archive: The file ``hutto_ICWSM_2014.tar.gz``.
        collection: Which sentences.
        split: ``"train"`` or ``"test"``.
        text: Name of the column of sentences.
        label: Name of the column of labels.
        target: ``"class"``: 0 for a mean rating below zero, 1 for one above, without rows of a mean of exactly zero;
            ``"float"``: the mean rating of every row.

    Raises:
        DataError: For another split, or an archive that cannot be used; with file and line.
    """
    if split not in SPLITS:
        raise DataError(f"the rated sentences have no split {split!r}; {nearest(split, SPLITS)}")
    texts: list[str] = []
    ratings: list[float] = []
    groups: list[str] = []
    lines: list[int] = []
    first: dict[str, str] = {}  # the group of each sentence
    name = f"{FILES[collection]}_GroundTruth.txt"
    for line, row, rating, sentence in _rows(archive, name):
        source, _, place = row.partition("_")
        key = letters_and_digits(sentence)
        group = first.setdefault(key, source if place else key)
        if _is_test(collection, group) == (split == "test") and (rating or target == "float"):
            texts.append(sentence)
            ratings.append(rating)
            groups.append(group)
            lines.append(line)
    labels = pa.array([rating > 0 for rating in ratings]).cast(pa.int64()) if target == "class" else pa.array(ratings)
    return Source(f"{name}, split {split}", pa.table({text: texts, label: labels}), lines, groups)


def letters_and_digits(text: str) -> str:
    """A text without punctuation, spaces and case: ``"Don't!"`` and ``"do n't"`` are equal."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _rows(archive: Path, name: str) -> Iterator[tuple[int, str, float, str]]:
    """Number, id, mean rating and sentence of every line."""
    content = read_member(archive, f"hutto_ICWSM_2014/{name}")
    try:
        lines = content.decode("utf-8-sig").split("\n")  # not at the other line separators of Unicode
    except UnicodeDecodeError as error:
        raise DataError(f"{name} of {archive} is not UTF-8 ({error.reason}); give the archive of the paper") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row, *rest = line.rstrip("\r").split("\t")
        try:
            rating, sentence = float(rest[0]), rest[1]
            known = abs(rating) <= STRONGEST and len(rest) == 2
        except (ValueError, IndexError):
            known = False
        if not known:
            raise DataError(
                f"{name} of {archive}, line {number}: found {line[:60]!r}, not an id, a rating from -4 to 4 and a "
                "sentence between tabs; give the archive of the paper"
            )
        yield number, row, rating, sentence


def _is_test(collection: str, group: str) -> bool:
    digest = hashlib.sha256(f"{collection}\t{group}".encode()).digest()
    return 5 * int.from_bytes(digest[:8], "big") < 2**64  # a fifth, the same on every machine
