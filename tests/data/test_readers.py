"""The user's files are read as they are, or refused with the place and the remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embfact.data.readers import read_file
from embfact.errors import DataError

COLUMNS = ("text", "label")
TEXTS = ["plain", 'with "quotes", comma', "über\tTab", "two\nlines", "01", "NA", "null"]


def read(path: Path, columns: tuple[str, ...] = COLUMNS) -> dict[str, list[object]]:
    return read_file(path, columns).table.to_pydict()


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet"])
def test_what_pandas_writes_is_read_unchanged(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"text": TEXTS, "label": [str(row) for row in range(len(TEXTS))]})
    writers = {
        "rows.csv": lambda path: frame.to_csv(path, index=False),
        "rows.jsonl": lambda path: frame.to_json(path, orient="records", lines=True),
        "rows.parquet": lambda path: frame.to_parquet(path),
    }
    writers[name](tmp_path / name)
    assert read(tmp_path / name) == frame.to_dict(orient="list")


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1), min_size=1))
def test_any_text_survives_csv(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("csv") / "any.csv"
    pd.DataFrame({"text": texts, "label": "x"}).to_csv(path, index=False, lineterminator="\n", quoting=1)
    assert read(path)["text"] == texts


def test_tsv_knows_no_quotes(tmp_path: Path) -> None:
    path = written(tmp_path, "glue.tsv", 'text\tlabel\n"an open quote\t1\nsecond "row"\t0\n')
    assert read(path) == {"text": ['"an open quote', 'second "row"'], "label": ["1", "0"]}


def test_byte_order_mark_crlf_and_blank_lines_are_no_content(tmp_path: Path) -> None:
    path = written(tmp_path, "excel.csv", b"\xef\xbb\xbftext,label\r\nfine,1\r\n\r\ndull,0\r\n")
    assert read(path) == {"text": ["fine", "dull"], "label": ["1", "0"]}


def test_documents_longer_than_pythons_csv_limit_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "long.csv", "text,label\n" + "word " * 100_000 + ",1\n")
    assert len(str(read(path)["text"][0])) == 500_000


OLD_MAC = {
    "old.csv": "text,label\rfine,1\rdull,0\r",
    "old.tsv": "text\tlabel\rfine\t1\rdull\t0",
    "old.jsonl": '\r{"text": "fine", "label": "1"}\r{"text": "dull", "label": "0"}\r',
}


@pytest.mark.parametrize("name", OLD_MAC)
def test_lines_may_end_in_cr_alone(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, "\ufeff" + OLD_MAC[name])
    assert read(path) == {"text": ["fine", "dull"], "label": ["1", "0"]}
    assert read_file(path, COLUMNS).where(1) == f"{name}, line 3"


def test_quoted_line_breaks_of_every_kind_stay_what_they_are(tmp_path: Path) -> None:
    path = written(tmp_path, "any.csv", 'text,label\n"a\rb",1\n"c\r\nd",0\n')
    assert read(path)["text"] == ["a\rb", "c\r\nd"]
    path = written(tmp_path, "cr.csv", 'text,label\r"a\rb",1\r')
    assert read(path)["text"] == ["a\rb"]


def test_members_that_nobody_asked_for_may_hold_anything(tmp_path: Path) -> None:
    odd = ['{"a": [1, "x", {}]}', "18446744073709551616", '"\\ud83d"', "NaN", "null", "[[[]]]"]
    lines = [f'{{"text": "x", "other": {value}, "label": 1}}' for value in odd]
    assert read(written(tmp_path, "a.jsonl", "\n".join(lines)))["text"] == ["x"] * len(odd)


def test_a_row_is_named_by_its_line_in_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "train.csv", 'text,label\n"two\nlines",1\n\nthird,0\n')
    source = read_file(path, COLUMNS)
    assert source.where(0) == "train.csv, line 2"
    assert source.where(1) == "train.csv, line 5"


def test_a_parquet_row_is_named_by_its_number(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "label": [0, 1]}), tmp_path / "train.parquet")
    assert read_file(tmp_path / "train.parquet", COLUMNS).where(1) == "train.parquet, row 1 (counted from 0)"


REFUSED: dict[str, tuple[str, str | bytes, str]] = {
    "no such column": ("a.csv", "texts,label\nx,1\n", "a.csv has no column 'text'; did you mean 'texts'"),
    "column twice": ("a.csv", "text,text,label\nx,y,1\n", "column 'text' more than once"),
    "row cut short": ("a.csv", "text,label\nx,1\ny\n", "a.csv, line 3 has 1 fields where the header has 2"),
    "open quote": ("a.csv", 'text,label\nx,1\n"y,0\nz,1\n', "a.csv, line 3: .*is a quote left open"),
    "nothing": ("a.csv", "", "a.csv is empty"),
    "not UTF-8": ("a.csv", b"text,label\nfine,1\nm\xfcde,0\n", r"a.csv, line 3 is not UTF-8 \(byte 0xfc\); save"),
    "binary": ("a.tsv", b"text\tlabel\nPAR\x001\n", "line 2 holds a NUL byte"),
    "cut JSON": ("a.jsonl", '{"text": "x", "label": 1}\n{"text": "y", "la', "a.jsonl, line 2 is not JSON"),
    "JSON array": ("a.jsonl", '[{"text": "x", "label": 1}]', "line 1 is not a JSON object"),
    "JSON without the key": ("a.jsonl", '{"text": "x"}\n', "line 1 has no column 'label'"),
    "JSON of two types": (
        "a.jsonl",
        '{"text": "x", "label": 1}\n{"text": "y", "label": "one"}\n',
        "'label' of a.jsonl, line 2: found 'one'",
    ),
    "JSON of numbers and switches": (
        "a.jsonl",
        '{"text": "x", "label": 0.5}\n{"text": "y", "label": true}\n',
        "'label' of a.jsonl, line 2: found True, which is true or false, after a number",
    ),
    "an object": (
        "a.jsonl",
        '{"text": "x", "label": 1}\n{"text": {"a": 1}, "label": 1}\n',
        "line 2: 'text' holds an obj",
    ),
    "a list": ("a.jsonl", '{"text": ["x", 1], "label": 1}\n', "line 1: 'text' holds a list"),
    "an array of labels": ("a.jsonl", '{"text": "x", "label": [[]]}\n', "line 1: 'label' holds a list"),
    "deep nesting": ("a.jsonl", '{"text": "x", "label": ' + "[" * 10**5 + "\n", "line 1 is nested too deeply"),
    "deep nesting elsewhere": (
        "a.jsonl",
        '{"text": "x", "label": 1, "other": ' + "[" * 10**5 + "]" * 10**5 + "}\n",
        "line 1 is nested too deeply",
    ),
    "a lone surrogate": ("a.jsonl", '{"text": "x \\ud83d", "label": 1}\n', r"line 1: 'text' holds \\ud83d, half of"),
    "a surrogate among labels": (
        "a.jsonl",
        '{"text": "x", "label": "\\ud83d\\ude00"}\n{"text": "x", "label": "\\udc00"}\n',
        r"line 2: 'label' holds \\udc00, half of a surrogate pair",
    ),
    "a surrogate as a name": ("a.jsonl", '{"\\ud83d": "x", "label": 1}\n', r"line 1 has no column 'text'.*\\ud83d"),
    "beyond 64 bits": (
        "a.jsonl",
        '{"text": "x", "label": 1}\n{"text": "x", "label": 9223372036854775808}\n',
        "line 2: 'label' holds 9223372036854775808, which is beyond 64 bits; write it as a string",
    ),
    "thousands of digits": ("a.jsonl", '{"text": "x", "label": ' + "9" * 5000 + "}\n", "line 1 cannot be read"),
    "a whole number that no float holds": (
        "a.jsonl",
        '{"text": "x", "label": 0.5}\n{"text": "x", "label": 9007199254740993}\n',
        "'label' of a.jsonl, line 2: found 9007199254740993",
    ),
    "a name twice": (
        "a.jsonl",
        '{"text": "x", "label": 1, "text": "y"}\n',
        "line 1 has the column 'text' more than once",
    ),
    "UTF-16": ("a.csv", "text,label\nx,1\n".encode("utf-16"), r"line 1 is not UTF-8 \(byte 0xff\); save"),
    "UTF-16 without its mark": ("a.csv", "text,label\nx,1\n".encode("utf-16-le"), "line 1 holds a NUL byte.*UTF-8"),
    "a lone carriage return": ("a.csv", "text,label\nx\ry,1\n", "a.csv, line 2: .*carriage return.* LF or CRLF"),
    "no Parquet": ("a.parquet", "text,label\nx,1\n", "a.parquet is not a complete Parquet file"),
    "extension": ("a.txt", "text,label\nx,1\n", "a.txt ends in '.txt'; use one of .csv, .tsv, .jsonl, .parquet"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_used_is_refused_in_words(tmp_path: Path, case: str) -> None:
    name, content, words = REFUSED[case]
    with pytest.raises(DataError, match=words):
        read(written(tmp_path, name, content))


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_parquet_file_is_refused(tmp_path: Path, share: float) -> None:
    pq.write_table(pa.table({"text": TEXTS, "label": TEXTS}), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    with pytest.raises(DataError, match="it may be truncated"):
        read(written(tmp_path, "cut.parquet", whole[: int(share * len(whole))]))


def test_a_folder_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"folder.csv cannot be read"):
        read(tmp_path / "folder.csv")


def test_json_lines_keep_the_types_of_numbers(tmp_path: Path) -> None:
    rows = [{"text": "x", "label": 1}, {"text": "y", "label": 2}]
    path = written(tmp_path, "rows.jsonl", "\n".join(json.dumps(row) for row in rows))
    assert read(path)["label"] == [1, 2]
