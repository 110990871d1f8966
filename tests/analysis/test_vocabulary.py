"""Which tokens are words, and which token a word is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from embfact.analysis.vocabulary import WORDS, Vocabulary, find_words, read_vocabulary
from embfact.errors import UserError
from embfact.models.backbones import resolve


@pytest.fixture(scope="module")
def minilm() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(resolve("packaged:minilm"))


@pytest.fixture(scope="module")
def vocabulary(minilm: PreTrainedTokenizerBase) -> Vocabulary:
    return read_vocabulary(minilm, 30_522)


def test_special_and_reserved_tokens_are_no_words(vocabulary: Vocabulary) -> None:
    others = {token for token, word in zip(vocabulary.tokens, vocabulary.words, strict=True) if not word}
    assert {"[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]"} == {token for token in others if "unused" not in token}
    assert len(others) == 5 + 994
    assert vocabulary.words[vocabulary.tokens.index("unused")]  # a word like any other


def test_rows_without_a_token_are_no_words(minilm: PreTrainedTokenizerBase) -> None:
    larger = read_vocabulary(minilm, 30_528)
    assert larger.tokens[-6:] == ("",) * 6
    assert not larger.words[-6:].any()


def test_the_usual_words_are_tokens_of_minilm(minilm: PreTrainedTokenizerBase, vocabulary: Vocabulary) -> None:
    found = find_words(minilm, vocabulary, None)
    assert list(found) == list(WORDS)
    assert [vocabulary.tokens[token] for token in found.values()] == list(WORDS)


def test_words_that_are_no_single_token_are_all_named(minilm: PreTrainedTokenizerBase, vocabulary: Vocabulary) -> None:
    with pytest.raises(UserError, match=r"'floccinaucinihilipilification', '\[MASK\]', 'two words'; give"):
        find_words(minilm, vocabulary, ["good", "floccinaucinihilipilification", "[MASK]", "two words"])


def test_usual_words_that_are_split_are_left_out(small_tokenizer: Path) -> None:
    small = AutoTokenizer.from_pretrained(small_tokenizer)
    found = find_words(small, read_vocabulary(small, 3000), None)
    assert found
    assert all(token < 3000 for token in found.values())
    assert "terrible" not in found


def test_a_word_is_the_token_that_it_has_inside_a_text() -> None:
    tokens = {"Ġ": 0, "a": 1, "b": 2, "ab": 3, "Ġa": 4, "Ġab": 5}
    inner = Tokenizer(models.BPE(tokens, [("a", "b"), ("Ġ", "a"), ("Ġ", "ab")]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)
    assert find_words(tokenizer, read_vocabulary(tokenizer, 6), ["ab"]) == {"ab": 5}
