"""Token ids equal the tokenizer's own, are computed once, and survive a broken cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from embfact.data.tokenized import Tokenized, tokenize

SINGLE = pa.table({"id": [4, 7, 9], "text": ["a fine film", "dull", "a dull plot a dull plot"], "label": [1, 0, 0]})
PAIRS = SINGLE.append_column("text_pair", pa.array(["fine acting", "a film", "plot"]))


class Counted:
    """A tokenizer that counts its calls."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, *texts: Any, **options: Any) -> Any:
        self.calls += 1
        return self._tokenizer(*texts, **options)


@pytest.mark.parametrize("table", [SINGLE, PAIRS], ids=["single", "pairs"])
@pytest.mark.parametrize("max_length", [5, 128])
def test_rows_are_what_the_tokenizer_gives(tokenizer: Any, tmp_path: Path, table: pa.Table, max_length: int) -> None:
    tokenized = tokenize(table, tokenizer, max_length, tmp_path)
    assert len(tokenized) == 3
    for index, row in enumerate(table.to_pylist()):
        alone = tokenizer(row["text"], row.get("text_pair"), truncation=True, max_length=max_length)
        assert tokenized.row(index).tolist() == alone["input_ids"]
        types = tokenized.type_row(index)
        assert types is not None
        assert types.tolist() == alone["token_type_ids"]
        assert tokenized.lengths[index] == len(alone["input_ids"]) <= max_length
    assert tokenized.ids.tolist() == [4, 7, 9]
    assert tokenized.labels is not None
    assert tokenized.labels.tolist() == [1, 0, 0]


def test_types_are_left_out_where_the_model_takes_none(tokenizer: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(tokenizer, "model_input_names", ["input_ids", "attention_mask"])
    tokenized = tokenize(PAIRS, tokenizer, 16, tmp_path)
    assert tokenized.types is None
    assert tokenized.type_row(0) is None


def test_counts_are_those_of_the_tokens_with_special_ones(tokenizer: Any, tmp_path: Path) -> None:
    counts = tokenize(SINGLE, tokenizer, 16, tmp_path).token_counts(12)
    expected = np.zeros(12)
    for text in SINGLE.column("text").to_pylist():
        np.add.at(expected, tokenizer(text)["input_ids"], 1)
    assert counts.dtype == np.float64
    np.testing.assert_array_equal(counts, expected)
    with pytest.raises(ValueError, match="token id 8 is outside of the table's 8 rows"):
        tokenize(SINGLE, tokenizer, 16, tmp_path).token_counts(8)


def test_the_same_texts_are_tokenised_once_whatever_their_labels(tokenizer: Any, tmp_path: Path) -> None:
    counted: Any = Counted(tokenizer)
    first = tokenize(SINGLE, counted, 16, tmp_path)
    tokenizer("other use that leaves its settings behind", truncation=True, max_length=4, padding="max_length")
    relabelled = SINGLE.set_column(2, "label", pa.array([0, 0, 1]))
    again = tokenize(relabelled, counted, 16, tmp_path)
    assert counted.calls == 1
    np.testing.assert_array_equal(first.tokens, again.tokens)
    assert again.labels is not None
    assert again.labels.tolist() == [0, 0, 1]
    assert len(list((tmp_path / "tokens").iterdir())) == 1


def test_other_texts_lengths_and_tokenizers_have_files_of_their_own(tokenizer: Any, tmp_path: Path) -> None:
    shifted = pa.table({"id": [0, 1], "text": ["a fine", "film"], "label": [0, 1]})
    tokenize(shifted, tokenizer, 16, tmp_path)
    tokenize(shifted.set_column(1, "text", pa.array(["a ", "finefilm"])), tokenizer, 16, tmp_path)
    tokenize(shifted, tokenizer, 8, tmp_path)
    from transformers import PreTrainedTokenizerFast

    other = PreTrainedTokenizerFast(
        tokenizer_object=type(tokenizer.backend_tokenizer).from_str(
            tokenizer.backend_tokenizer.to_str().replace('"acting"', '"actors"')
        )
    )
    tokenize(shifted, other, 16, tmp_path)
    assert len(list((tmp_path / "tokens").iterdir())) == 4


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "foreign"])
def test_a_corrupt_cache_file_is_made_anew(tokenizer: Any, tmp_path: Path, damage: str) -> None:
    expected = tokenize(SINGLE, tokenizer, 16, tmp_path).tokens.copy()
    (path,) = (tmp_path / "tokens").iterdir()
    content = path.read_bytes()
    place = content.index(expected.tobytes())
    broken = {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "flipped": content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :],
        "foreign": b"something else",
    }
    path.unlink()
    path.write_bytes(broken[damage])
    np.testing.assert_array_equal(tokenize(SINGLE, tokenizer, 16, tmp_path).tokens, expected)
    assert path.read_bytes() == content


def test_hidden_labels_are_none_and_targets_stay_floats(tokenizer: Any, tmp_path: Path) -> None:
    hidden = SINGLE.set_column(2, "label", pa.nulls(3, pa.int64()))
    targets = SINGLE.set_column(2, "label", pa.array([0.5, 1.0, 2.0]))
    assert tokenize(hidden, tokenizer, 16, tmp_path).labels is None
    labels = tokenize(targets, tokenizer, 16, tmp_path).labels
    assert labels is not None
    assert labels.dtype == np.float64
    assert labels.tolist() == [0.5, 1.0, 2.0]


def test_many_rows_in_chunks_keep_their_order(tokenizer: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("embfact.data.tokenized.ROWS_AT_ONCE", 2)
    table = pa.concat_tables([SINGLE] * 3)
    tokenized: Tokenized = tokenize(table, tokenizer, 16, tmp_path)
    texts = table.column("text").to_pylist()
    assert [tokenized.row(index).tolist() for index in range(9)] == [tokenizer(text)["input_ids"] for text in texts]


def test_the_home_folder_may_be_written_as_a_tilde(tokenizer: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    tokenize(SINGLE, tokenizer, 16, "~/cache")
    assert len(list((tmp_path / "cache" / "tokens").iterdir())) == 1
