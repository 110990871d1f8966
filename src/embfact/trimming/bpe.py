"""Byte-pair encoding (Sennrich et al., ACL 2016): pairs are merged in the order in which they were learned.

A piece can only be kept together with every piece on the way to it. The merges inside a piece do not depend on the text
around it, since none of them crosses its borders, so this way is found by encoding the piece alone. A merge is kept if
both of its sides and its result are: at every step of a text whose pieces are all kept, the first merge of the original
is still the first one, so that the pieces are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

from embfact.trimming.vocabulary import Vocabulary


class BPE(Vocabulary):
    """Pieces of characters, or of bytes that are written as characters (GPT-2)."""

    def __init__(self, content: Mapping[str, Any]):
        super().__init__(content)
        parts = (content.get("pre_tokenizer"), content.get("decoder"))
        self._bytes = _bytes_of_characters() if any(map(_is_byte_level, parts)) else None
        self._prefix = str(self.model.get("continuing_subword_prefix") or "")
        self._suffix = str(self.model.get("end_of_word_suffix") or "")
        self._merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in self.model["merges"]]
        self._ranks = {pair: rank for rank, pair in reversed(list(enumerate(self._merges)))}

    def _read(self) -> dict[str, int]:
        return dict(self.model["vocab"])

    def own(self) -> set[int]:
        """All bytes too."""
        return super().own() | {self.ids[letter] for letter in self._bytes or () if letter in self.ids}

    def letters(self, piece: str) -> list[str]:
        """What merging starts from: characters, with the marks of the inside and the end of a word, if any."""
        inside = self._prefix and piece.startswith(self._prefix)
        text = piece.removeprefix(self._prefix)
        ends = self._suffix and text.endswith(self._suffix)
        text = text.removesuffix(self._suffix) if ends else text
        letters = [f"{self._prefix if place or inside else ''}{letter}" for place, letter in enumerate(text)]
        if ends and letters:
            letters[-1] += self._suffix
        return letters or [piece]

    def text(self, piece: str) -> str | None:
        """The characters of a piece."""
        if self._bytes is None:
            return piece.removeprefix(self._prefix).removesuffix(self._suffix)
        if any(letter not in self._bytes for letter in piece):  # an added token
            return piece
        try:
            return bytes(self._bytes[letter] for letter in piece).decode()
        except UnicodeDecodeError:
            return None

    def must_stay(self, piece: str) -> bool:
        """No piece has to stay: one with an unknown letter cannot be reached by merges."""
        return False

    def parts(self, piece: str) -> set[int]:
        """The pieces on the way to this one. One that merges do not lead to needs no other."""
        symbols, parts = self.letters(piece), {piece}
        way = set(symbols)
        while len(symbols) > 1:
            ranks = [self._ranks.get(pair, len(self._merges)) for pair in pairwise(symbols)]
            rank = min(ranks)
            if rank == len(self._merges):
                break
            place = ranks.index(rank)
            symbols[place : place + 2] = [self._joined(*symbols[place : place + 2])]
            way.add(symbols[place])
        if symbols == [piece]:
            parts |= way
        return {self.ids[part] for part in parts if part in self.ids}

    def trimmed(self, new_ids: Mapping[int, int]) -> dict[str, Any]:
        """The kept pieces, and the merges of kept pieces into kept ones."""
        vocabulary = self._renumbered(new_ids)
        merges = [
            merge
            for merge, (left, right) in zip(self.model["merges"], self._merges, strict=True)
            if left in vocabulary and right in vocabulary and self._joined(left, right) in vocabulary
        ]
        return {**self.model, "vocab": vocabulary, "merges": merges}

    def _joined(self, left: str, right: str) -> str:
        return left + right.removeprefix(self._prefix)


def _is_byte_level(part: Any) -> bool:
    if isinstance(part, dict):
        return part.get("type") == "ByteLevel" or any(map(_is_byte_level, part.values()))
    return isinstance(part, list) and any(map(_is_byte_level, part))


@lru_cache(maxsize=1)
def _bytes_of_characters() -> dict[str, int]:
    """GPT-2's character for each byte: itself if it can be printed, else one from 256 on."""
    printed = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printed]
    return {chr(byte): byte for byte in printed} | {chr(256 + place): byte for place, byte in enumerate(others)}
