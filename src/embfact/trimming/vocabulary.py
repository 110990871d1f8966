"""The interface of a tokenizer's model: its pieces, and what each of them needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class Vocabulary(ABC):
    """The model of a tokenizer, as the part ``model`` of tokenizer.json.

    A piece is spelled with letters: pieces of one character that can stand at its place in a word.

    Args:
        content: The whole tokenizer.json; it is not changed.

    Attributes:
        model: Its part ``model``.
        ids: Piece -> id.
    """

    def __init__(self, content: Mapping[str, Any]):
        self.model: Mapping[str, Any] = content["model"]
        self.ids: dict[str, int] = self._read()

    @abstractmethod
    def _read(self) -> dict[str, int]:
        """Piece -> id."""

    @abstractmethod
    def letters(self, piece: str) -> list[str]:
        """The letters that spell a piece, which need not be in the vocabulary; a letter is spelled by itself."""

    @abstractmethod
    def text(self, piece: str) -> str | None:
        """What a piece says; None if that is a part of a character."""

    def own(self) -> set[int]:
        """Ids of pieces that are kept whatever the text: the unknown one, and bytes that spell unknown characters."""
        names = {self.model.get("unk_token")}
        if self.model.get("byte_fallback"):
            names |= {f"<0x{byte:02X}>" for byte in range(256)}
        return {self.ids[name] for name in names if name in self.ids}

    def must_stay(self, piece: str) -> bool:
        """Whether text with this piece could not be written without it, since one of its letters is no piece."""
        return any(letter not in self.ids for letter in self.letters(piece))

    def parts(self, piece: str) -> set[int]:
        """Ids of the pieces without which a tokenizer cannot arrive at this one, itself included."""
        return {self.ids[piece]}

    @abstractmethod
    def trimmed(self, new_ids: Mapping[int, int]) -> dict[str, Any]:
        """The part ``model`` with these pieces alone: old id -> new id, in the same order."""

    def _renumbered(self, new_ids: Mapping[int, int]) -> dict[str, int]:
        kept = sorted((new_ids[old], piece) for piece, old in self.ids.items() if old in new_ids)
        return {piece: new for new, piece in kept}
