"""Trimmed tokenizers beside the whole ones, both run by the library `tokenizers`."""

from __future__ import annotations

import json
from collections import Counter
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer as Reference

from embfact.errors import ConfigError, ModelError
from embfact.trimming.selection import Criteria, select
from embfact.trimming.tokenizer import Tokenizer
from tests.helpers.tokenizers import KINDS, TEXTS, content_of, sentences

UNSEEN = [*sentences(300, seed=7), "Ω≠ 😀 q", "x" * 120, "", "東京東京ня"]


@lru_cache
def whole(kind: str) -> Reference:
    return KINDS[kind]()


@lru_cache
def counts(kind: str) -> np.ndarray:
    reference = whole(kind)
    counted = Counter(token for row in reference.encode_batch(TEXTS[:200]) for token in row.ids)
    return np.array([counted[token] for token in range(max(reference.get_vocab().values()) + 1)], dtype=np.float64)


def trimmed(kind: str, criteria: Criteria) -> tuple[Reference, list[int], int]:
    tokenizer = Tokenizer(content_of(whole(kind)))
    kept, needed = select(tokenizer, counts(kind), criteria)
    content, old_ids = tokenizer.trimmed(kept)
    assert set(old_ids) == kept
    return Reference.from_str(json.dumps(content)), old_ids, needed


def smallest(kind: str) -> int:
    return trimmed(kind, Criteria(min_count=10**9))[2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8])
def test_texts_whose_pieces_are_kept_have_the_same_pieces(kind: str, share: float) -> None:
    before, least = whole(kind), smallest(kind)
    total = before.get_vocab_size()
    size = least + round(share * (total - 1 - least))
    after, old_ids, _ = trimmed(kind, Criteria(size=size))
    assert after.get_vocab_size() == size == len(old_ids)
    assert sorted(after.get_vocab().values()) == list(range(size))
    assert all(before.id_to_token(old) == after.id_to_token(new) for new, old in enumerate(old_ids))

    same, kept = 0, set(old_ids)
    for text in [*TEXTS, *UNSEEN]:
        one, other = before.encode(text), after.encode(text)
        if kept.issuperset(one.ids):
            assert [old_ids[token] for token in other.ids] == one.ids
            assert (other.tokens, other.offsets, other.type_ids) == (one.tokens, one.offsets, one.type_ids)
            same += 1
        else:
            assert [old_ids[token] for token in other.ids] != one.ids
    # A first and a second text, with what is put between them.
    assert [old_ids[token] for token in after.encode("", "").ids] == before.encode("", "").ids
    assert share == 0 or 2 < same < len(TEXTS) + len(UNSEEN)


@pytest.mark.parametrize("kind", KINDS)
def test_any_text_is_still_spelled(kind: str) -> None:
    """With no token but those that have to stay, no character becomes unknown that was known."""
    before = whole(kind)
    after, _, _ = trimmed(kind, Criteria(min_count=10**9))
    unknown = {"[UNK]", "<unk>"}
    for text in [*TEXTS, *UNSEEN]:
        one, other = before.encode(text), after.encode(text)
        assert len([token for token in one.tokens if token in unknown]) == len(
            [token for token in other.tokens if token in unknown]
        )
        if before.decoder is not None and not unknown & set(one.tokens):
            assert after.decode(other.ids) == before.decode(one.ids)


@pytest.mark.parametrize("kind", KINDS)
def test_counted_tokens_are_kept(kind: str) -> None:
    _, old_ids, _ = trimmed(kind, Criteria(min_count=1))
    assert set(np.flatnonzero(counts(kind))) <= set(old_ids)
    _, frequent, _ = trimmed(kind, Criteria(min_count=20))
    assert len(frequent) < len(old_ids) < whole(kind).get_vocab_size()


@pytest.mark.parametrize("kind", KINDS)
def test_a_script_keeps_its_tokens_alone(kind: str) -> None:
    after, old_ids, _ = trimmed(kind, Criteria(scripts=("Latin",)))
    before, text = whole(kind), "bakeli mora té."
    assert [old_ids[token] for token in after.encode(text).ids] == before.encode(text).ids
    foreign = {token for token in after.get_vocab() if {"東", "京", "н", "я"} & set(token)}
    # A unigram model keeps a piece of the least score, whatever its script: what is unknown scores less by ten.
    scores = dict(content_of(before)["model"]["vocab"]) if kind.startswith("unigram") else {}
    assert foreign <= {piece for piece, score in scores.items() if score == min(scores.values())}
    assert after.encode("東京").ids  # unknown, or bytes
    _, more, _ = trimmed(kind, Criteria(scripts=("Latin", "Han")))
    assert len(more) >= len(old_ids)


@pytest.mark.parametrize("kind", KINDS)
def test_a_size_that_cannot_be_is_refused(kind: str) -> None:
    least, total = smallest(kind), whole(kind).get_vocab_size()
    for size, remedy in ((least - 1, f"use size={least} or more"), (total, "use a smaller size")):
        with pytest.raises(ConfigError, match=remedy):
            trimmed(kind, Criteria(size=size))
    with pytest.raises(ConfigError, match=r"tokens meet the other criteria .*use size="):
        trimmed(kind, Criteria(size=total - 1, min_count=10))


def test_bpe_keeps_the_way_to_a_token() -> None:
    """One frequent long token alone, and exactly those that it is merged from."""
    tokenizer = Tokenizer(content_of(whole("byte_level")))
    vocabulary = tokenizer.vocabulary
    longest = max((p for p in vocabulary.ids if vocabulary.text(p)), key=lambda piece: len(vocabulary.parts(piece)))
    number = vocabulary.ids[longest]
    only = np.zeros(len(tokenizer))
    only[number] = 1
    kept, needed = select(tokenizer, only, Criteria(min_count=1))
    content, _ = tokenizer.trimmed(kept)
    letters = len(set(vocabulary.letters(longest)))
    assert len(kept) == needed + len(vocabulary.parts(longest)) - letters
    after = Reference.from_str(json.dumps(content))
    text = vocabulary.text(longest)
    assert after.encode(text, add_special_tokens=False).tokens == [longest]
    # With no room for the way, the token is not kept, and the size is still met.
    kept, _ = select(tokenizer, only, Criteria(size=needed + 1))
    assert number not in kept
    assert len(kept) == needed + 1


@pytest.mark.parametrize("merges", ["strings", "pairs"])
def test_both_spellings_of_merges_are_read(merges: str) -> None:
    content = content_of(whole("byte_level"))
    if merges == "strings":
        content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    tokenizer = Tokenizer(content)
    kept, _ = select(tokenizer, counts("byte_level"), Criteria(min_count=5))
    made, old_ids = tokenizer.trimmed(kept)
    text = TEXTS[0]
    assert [old_ids[token] for token in Reference.from_str(json.dumps(made)).encode(text).ids]
    assert {type(merge) for merge in made["model"]["merges"]} == {str if merges == "strings" else list}


def test_ids_around_texts_and_of_padding_are_rewritten() -> None:
    """A tokenizer whose special tokens are not the first ones, as in BERT."""
    content: dict[str, Any] = content_of(whole("wordpiece"))
    order = sorted(content["model"]["vocab"], key=lambda piece: (piece.startswith("["), len(piece), piece))
    content["model"]["vocab"] = {piece: number for number, piece in enumerate(order)}
    place = content["model"]["vocab"]
    content["added_tokens"] = [{**token, "id": place[token["content"]]} for token in content["added_tokens"]]
    content["post_processor"] = {
        "type": "BertProcessing",
        "sep": ["[SEP]", place["[SEP]"]],
        "cls": ["[CLS]", place["[CLS]"]],
    }
    content["padding"] = {"strategy": {"Fixed": 100}, "direction": "Right", "pad_to_multiple_of": None}
    content["padding"] |= {"pad_id": place["[PAD]"], "pad_type_id": 0, "pad_token": "[PAD]"}
    tokenizer = Tokenizer(content)
    kept, _ = select(tokenizer, np.zeros(len(order)), Criteria(size=smallest("wordpiece") + 30))
    made, old_ids = tokenizer.trimmed(kept)
    before, after = (Reference.from_str(json.dumps(one)) for one in (content, made))
    for text in TEXTS[:50]:
        one, other = before.encode(text), after.encode(text)
        assert [other.tokens[0], other.tokens[-1]] == ["[CLS]", "[PAD]"]
        if kept.issuperset(one.ids):
            assert [old_ids[token] for token in other.ids] == one.ids


def test_other_models_and_scripts_are_refused() -> None:
    words = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}
    with pytest.raises(ModelError, match="WordPiece, BPE, Unigram"):
        _ = Tokenizer({"model": words}).vocabulary
    (detail,) = Criteria(scripts=("Latin", "Klingonian")).errors()
    assert "Klingonian" in str(detail)
    (detail,) = Criteria().errors()
    assert "size=, min_count= or script=" in str(detail)
