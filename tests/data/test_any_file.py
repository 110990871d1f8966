"""Whatever a file holds, it is read or refused in words that name it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.config.data_config import DataConfig
from embfact.data.text import load_text
from embfact.errors import DataError

EXAMPLES = settings(max_examples=150, derandomize=True, database=None)

# Surrogates, numbers beyond 64 bits and no numbers are among them.
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(), st.text(st.characters(), max_size=5)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))
usual = st.fixed_dictionaries({"text": st.text(min_size=1, max_size=5), "label": st.integers(0, 2)})
odd = st.dictionaries(st.sampled_from(["text", "label", "other", "\ud800"]), values, max_size=4)
objects = st.lists(usual | usual | odd, max_size=6).map(lambda rows: "\n".join(map(json.dumps, rows)).encode())
words = [
    "text",
    "label",
    ",",
    "\t",
    '"',
    '""',
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    " ",
    "0",
    "1.0",
    "a",
    "\0",
    "\ufeff",
    "\u2028",
]
words += ["{", "}", "[", ":", "\\ud800", "text,label\n", "text\tlabel\n"]
pieces = st.sampled_from([*(word.encode() for word in words), b"\xff"])
fragments = st.lists(pieces, max_size=30).map(b"".join)
tables = st.tuples(st.sampled_from([b"", b"text,label\n", b"text\tlabel\n", b"text,label\r"]), fragments).map(b"".join)


@st.composite
def cut(draw: Callable[..., Any], whole: st.SearchStrategy[bytes]) -> bytes:
    """A file as it is, cut off, or with a few bytes in the midst of it."""
    content = draw(whole)
    place = draw(st.integers(0, len(content)))
    return draw(st.sampled_from([content, content, content[:place], content[:place] + draw(pieces) + content[place:]]))


def rows_of(path: Path, content: bytes) -> int | None:
    """How many rows can be trained on, and reported on again; None where the file is refused."""
    path.write_bytes(content)
    other = path.with_stem("other")
    other.write_bytes(content)
    options = {"name": "any", "text": ["text"], "label": "label", "metrics": ["accuracy"], "selection_size": 0}
    files = {"source": "files", "train_file": str(path), "validation_file": str(other)}
    try:
        loaded = load_text(DataConfig.model_validate(options | files), None)
    except DataError as error:
        words = str(error)
        if path.name not in words:
            raise
        words.encode()  # they can be printed
        return None
    assert loaded.train == loaded.reports["validation"]
    return loaded.train.num_rows


@EXAMPLES
@given(cut(objects))
def test_json_lines(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    rows_of(tmp_path_factory.getbasetemp() / "any.jsonl", content)


@EXAMPLES
@given(cut(tables), st.sampled_from([".csv", ".tsv", ".jsonl"]))
def test_delimited_text(tmp_path_factory: pytest.TempPathFactory, content: bytes, kind: str) -> None:
    rows_of(tmp_path_factory.getbasetemp() / f"any{kind}", content)


@EXAMPLES
@given(st.lists(usual, min_size=2, max_size=9))
def test_json_lines_that_are_whole_are_read(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    content = "\n".join(map(json.dumps, rows)).encode()
    usable = all(row["text"].strip() for row in rows) and len({row["label"] for row in rows}) > 1
    assert rows_of(tmp_path_factory.getbasetemp() / "whole.jsonl", content) == (len(rows) if usable else None)
