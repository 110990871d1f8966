"""What a trimmed tokenizer does to texts: how many of their tokens break into smaller ones."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from embfact.data.rows import TEXT_COLUMNS

TEXTS_AT_ONCE = 10_000  # bounds the memory of the tokenizers


@dataclass(frozen=True)
class BrokenTexts:
    """Some texts, whole and without special tokens, before and after trimming.

    Attributes:
        name: What they are.
        texts: Their number; the two sides of a pair are two.
        broken_texts: Those with a token that was dropped.
        tokens: Their tokens before.
        broken_tokens: Those that were dropped.
        tokens_after: Their tokens after.
        unknown: Unknown tokens before.
        unknown_after: Unknown tokens after.
    """

    name: str
    texts: int
    broken_texts: int
    tokens: int
    broken_tokens: int
    tokens_after: int
    unknown: int
    unknown_after: int


def broken_texts(
    name: str, rows: pa.Table, whole: PreTrainedTokenizerBase, trimmed: PreTrainedTokenizerBase, kept: Set[int]
) -> BrokenTexts:
    """Encode texts with both tokenizers.

    Args:
        name: What they are.
        rows: Rows of `embfact.data.text.TextData`.
        whole: The original tokenizer.
        trimmed: The trimmed one.
        kept: Original ids that it kept.
    """
    texts = [text for column in TEXT_COLUMNS if column in rows.column_names for text in rows.column(column).to_pylist()]
    sums = [0] * 6
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        part = texts[start : start + TEXTS_AT_ONCE]
        before, after = (_encode(tokenizer, part) for tokenizer in (whole, trimmed))
        dropped = [sum(token not in kept for token in row) for row in before]
        found = [
            *(sum(map(bool, dropped)), sum(map(len, before)), sum(dropped), sum(map(len, after))),
            *(sum(row.count(t.unk_token_id) for row in rows) for t, rows in ((whole, before), (trimmed, after))),
        ]
        sums = [one + other for one, other in zip(sums, found, strict=True)]
    return BrokenTexts(name, len(texts), *sums)


def _encode(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    rows: list[list[int]] = tokenizer(
        texts, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False, verbose=False
    )["input_ids"]
    return rows
