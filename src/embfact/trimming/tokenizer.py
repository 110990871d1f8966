"""A tokenizer.json with fewer tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from embfact.errors import ModelError
from embfact.trimming.bpe import BPE
from embfact.trimming.unigram import Unigram
from embfact.trimming.vocabulary import Vocabulary
from embfact.trimming.wordpiece import WordPiece

MODELS: dict[str, type[Vocabulary]] = {"WordPiece": WordPiece, "BPE": BPE, "Unigram": Unigram}


@dataclass(frozen=True)
class Tokenizer:
    """The content of a tokenizer.json.

    Attributes:
        content: Its values.
    """

    content: Mapping[str, Any]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Its model.

        Raises:
            ModelError: If it is of a kind without smaller pieces.
        """
        kind = (self.content.get("model") or {}).get("type")
        if kind not in MODELS:
            raise ModelError(
                f"the model of this tokenizer is {kind}, and only {', '.join(MODELS)} can spell a word with fewer "
                "tokens; use a model with one of them"
            )
        return MODELS[kind](self.content)

    @cached_property
    def added(self) -> dict[str, int]:
        """Tokens that are found in a text before its words are cut, special ones among them: token -> id."""
        return {token["content"]: token["id"] for token in self.content.get("added_tokens") or ()}

    @cached_property
    def fixed(self) -> set[int]:
        """Ids of tokens that are kept whatever the text, besides those of the model: added ones, and around a text."""
        padding = self.content.get("padding") or {}
        padded = {padding["pad_id"]} if "pad_id" in padding else set()
        return {*self.added.values(), *around(self.content.get("post_processor")), *padded}

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def tokens(self) -> dict[int, str]:
        """All tokens by their ids."""
        return {number: token for token, number in (self.vocabulary.ids | self.added).items()}

    def trimmed(self, kept: set[int]) -> tuple[dict[str, Any], list[int]]:
        """The content of the tokenizer with these tokens alone, renumbered without holes.

        The `fixed` ones have to be among them. Tokens keep their order, except that added
        ones that are no pieces come last: their ids are not read from the file, but follow the pieces.

        Returns:
            The content, and the old ids in the order of the new ones.
        """
        pieces = set(self.vocabulary.ids.values()) & kept
        old_ids = sorted(pieces) + sorted(kept & set(self.added.values()) - pieces)
        new_ids = {old: new for new, old in enumerate(old_ids)}
        content = {**self.content, "model": self.vocabulary.trimmed(new_ids)}
        added = [{**token, "id": new_ids[token["id"]]} for token in self.content.get("added_tokens") or ()]
        content["added_tokens"] = sorted(added, key=lambda token: token["id"])
        content["post_processor"] = _renumbered(self.content.get("post_processor"), new_ids)
        if padding := self.content.get("padding"):
            content["padding"] = {**padding, "pad_id": new_ids[padding["pad_id"]]}
        return content, old_ids


def around(part: Any) -> Iterator[int]:
    """Ids that a post-processor puts around a text: those of templates, and pairs such as ``["[SEP]", 102]``."""
    if isinstance(part, list):
        if _is_pair(part):
            yield part[1]
        for value in part:
            yield from around(value)
    elif isinstance(part, dict):
        for name, value in part.items():
            yield from value if name == "ids" and isinstance(value, list) else around(value)


def _renumbered(part: Any, new_ids: Mapping[int, int]) -> Any:
    """A post-processor with new ids."""
    if isinstance(part, list):
        return [part[0], new_ids[part[1]]] if _is_pair(part) else [_renumbered(value, new_ids) for value in part]
    if isinstance(part, dict):
        return {
            name: [new_ids[old] for old in value] if name == "ids" else _renumbered(value, new_ids)
            for name, value in part.items()
        }
    return part


def _is_pair(part: list[Any]) -> bool:
    return len(part) == 2 and isinstance(part[0], str) and isinstance(part[1], int)
