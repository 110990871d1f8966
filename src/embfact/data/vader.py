"""The data set that needs neither hub nor files: single terms rated for sentiment.

C.J. Hutto and E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text",
ICWSM 2014. Ten people rated each term from -4 to 4; the lexicon is part of the package vaderSentiment (MIT).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from embfact.data.source import Source
from embfact.errors import DataError, nearest

SPLITS = ("train", "test")
TEST_SHARE = 0.2
SPLIT_SEED = 2014  # the split is part of the data set: no option changes it


def read_vader(lexicon: Path, split: str, text: str, label: str) -> Source:
    """One split (``"train"`` or ``"test"``) of the lexicon as a classification: 0 negative, 1 positive.

    Terms that differ only in case become one lower-case term with the mean of their ratings, so that none is in both
    splits. The test split holds 20 % of each class. ``text`` and ``label`` name the columns of the result.

    Raises:
        DataError: For another split.
    """
    if split not in SPLITS:
        raise DataError(f"the vader lexicon has no split {split!r}; {nearest(split, SPLITS)}")
    terms, classes = _rated_terms(lexicon)
    in_test = _in_test(classes)
    chosen = np.flatnonzero(in_test if split == "test" else ~in_test)
    table = pa.table({text: pa.array([terms[row] for row in chosen]), label: pa.array(classes[chosen])})
    return Source(f"vader lexicon, split {split}", table)


def _rated_terms(lexicon: Path) -> tuple[list[str], np.ndarray]:
    ratings: dict[str, list[float]] = {}
    for line in lexicon.read_text(encoding="utf-8").splitlines():
        if line.strip():
            term, rating, *_ = line.split("\t")
            ratings.setdefault(term.lower(), []).append(float(rating))
    means = np.array([sum(given) / len(given) for given in ratings.values()])
    rated = np.flatnonzero(means)  # a mean of zero is neither positive nor negative
    terms = list(ratings)
    return [terms[row] for row in rated], (means[rated] > 0).astype(np.int64)


def _in_test(classes: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(SPLIT_SEED)
    in_test = np.zeros(len(classes), dtype=bool)
    for code in (0, 1):
        members = random.permutation(np.flatnonzero(classes == code))
        in_test[members[: round(TEST_SHARE * len(members))]] = True
    return in_test
