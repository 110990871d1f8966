"""The tokens of a vocabulary: which of them are words or word pieces, and which token a word maps to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from embfact.errors import UserError

WORDS = [
    *("good", "bad", "great", "terrible", "wonderful", "happy", "sad", "film", "music", "actor"),
    *("king", "queen", "man", "woman", "london", "paris", "dog", "two", "three", "not"),
]
"""The default words: feelings, films, people, places and grammar."""

# [unused12] (BERT), <unused3> (Gemma), madeupword0002 (fairseq), <|reserved_special_token_7|> (Llama)
_RESERVED = re.compile(r"[\[<]?\|?(unused|madeupword|reserved_special_token)[-_]?\d+\|?[\]>]?", re.IGNORECASE)


@dataclass(frozen=True)
class Vocabulary:
    """The meaning of the rows of a table.

    Attributes:
        tokens: Each as the tokenizer writes it; empty for rows that the tokenizer does not use.
        words: Which rows are words or word pieces, that is used, not special and not reserved, shape ``(V,)``.
    """

    tokens: tuple[str, ...]
    words: np.ndarray


def read_vocabulary(tokenizer: PreTrainedTokenizerBase, rows: int) -> Vocabulary:
    """The vocabulary of a table with V = `rows` rows; rows beyond the tokenizer's tokens have no token."""
    tokens = [""] * rows
    for token, number in tokenizer.get_vocab().items():
        if number < rows:
            tokens[number] = token
    special = set(tokenizer.all_special_ids)
    words = [
        bool(token) and number not in special and not _RESERVED.fullmatch(token) for number, token in enumerate(tokens)
    ]
    return Vocabulary(tuple(tokens), np.array(words))


def find_words(
    tokenizer: PreTrainedTokenizerBase, vocabulary: Vocabulary, words: Sequence[str] | None
) -> dict[str, int]:
    """The token id of each word as it appears in running text.

    Args:
        tokenizer: The tokenizer.
        vocabulary: Its vocabulary; special and reserved tokens are not words.
        words: The user's words; None for `WORDS`, of which only single tokens are kept.

    Raises:
        UserError: With every user-given word that is not a single token.
    """
    found = {word: _single_token(tokenizer, vocabulary, word) for word in words or WORDS}
    if words and (split := [word for word, token in found.items() if token is None]):
        raise UserError(
            f"--words: the tokenizer has no single token for {', '.join(map(repr, split))}; "
            "give words that it does not split"
        )
    return {word: token for word, token in found.items() if token is not None}


def _single_token(tokenizer: PreTrainedTokenizerBase, vocabulary: Vocabulary, word: str) -> int | None:
    # With a leading space first: GPT-2 and its relatives use another token for a word inside a text.
    for text in (f" {word}", word):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) == 1 and vocabulary.words[ids[0]]:
            return int(ids[0])
    return None
