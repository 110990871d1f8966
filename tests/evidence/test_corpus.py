"""Text of another corpus is read whatever its kind of file, and what cannot be counted is refused in words."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embfact.config.sections import CORPUS_FILES
from embfact.data.readers import READERS
from embfact.errors import DataError
from embfact.evidence.collection import read_corpus

TEXTS = ["a fine film", 'dull, "very" dull', "größer"]


@pytest.fixture
def write(tmp_path):
    def file(kind, texts=TEXTS):
        path = tmp_path / f"corpus{kind}"
        if kind == ".parquet":
            pq.write_table(pa.table({"text": texts, "other": range(len(texts))}), path)
        elif kind == ".jsonl":
            path.write_text("".join(json.dumps({"text": text, "other": 1}) + "\n" for text in texts))
        elif kind == ".csv":
            quoted = [(text or "").replace('"', '""') for text in texts]
            path.write_text("other,text\n" + "".join(f'1,"{text}"\n' for text in quoted))
        elif kind == ".tsv":
            path.write_text("other\ttext\n" + "".join(f"1\t{text or ''}\n" for text in texts))
        else:
            path.write_text("".join(f"{text or ''}\n" for text in texts))
        return path

    return file


def test_the_kinds_that_options_allow_are_those_that_can_be_read():
    assert set(CORPUS_FILES) == {".txt", *READERS}


@pytest.mark.parametrize("kind", CORPUS_FILES)
def test_every_kind_of_file_gives_its_texts(kind, write):
    rows = read_corpus(write(kind), ["text"])
    assert [text.strip() for text in rows["text"].to_pylist()] == TEXTS
    assert rows["id"].to_pylist() == [0, 1, 2]
    assert rows["label"].null_count == 3


@pytest.mark.parametrize("kind", CORPUS_FILES)
def test_empty_texts_are_passed_over(kind, write):
    texts = ["", *TEXTS, "  ", *([None] if kind in (".jsonl", ".parquet") else [])]
    rows = read_corpus(write(kind, texts), ["text"])
    assert [text.strip() for text in rows["text"].to_pylist()] == TEXTS


def test_a_pair_has_both_sides_and_one_may_be_empty(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("one\ttwo\na\tb\n\td\n\t\n")
    rows = read_corpus(path, ["one", "two"])
    assert rows.select(["text", "text_pair"]).to_pylist() == [
        {"text": "a", "text_pair": "b"},
        {"text": "", "text_pair": "d"},
    ]


@pytest.mark.parametrize("kind", CORPUS_FILES)
def test_a_file_without_text_is_refused(kind, write):
    with pytest.raises(DataError, match=r"corpus\.\w+ holds no text to count.*evidence\.source=training"):
        read_corpus(write(kind, ["", " "]), ["text"])


def test_a_missing_column_and_one_of_numbers_are_refused(write):
    with pytest.raises(DataError, match="has no column 'texts'; did you mean 'text'"):
        read_corpus(write(".jsonl"), ["texts"])
    with pytest.raises(DataError, match=r"'other' holds int64, not text; name the text column in data\.text"):
        read_corpus(write(".parquet"), ["other"])


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path):
    (tmp_path / "latin.txt").write_bytes("größer\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.txt, line 1 is not UTF-8"):
        read_corpus(tmp_path / "latin.txt", ["text"])
    for kind in CORPUS_FILES:
        with pytest.raises(DataError, match=r"absent\.\w+"):
            read_corpus(tmp_path / f"absent{kind}", ["text"])
