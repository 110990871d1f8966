"""Unigram (Kudo, ACL 2018), as in SentencePiece: of all ways to cut a text, that of the highest sum of scores.

A text whose pieces are all kept has the same pieces: its best way is still there, and no way was added. An unknown
character scores ten below the least score of the vocabulary, so a piece with that score is kept too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embfact.trimming.vocabulary import Vocabulary


class Unigram(Vocabulary):
    """Pieces with scores, whose ids are their places in a list."""

    def _read(self) -> dict[str, int]:
        return {piece: place for place, (piece, _) in enumerate(self.model["vocab"])}

    def own(self) -> set[int]:
        """The piece for the unknown too, and one of the least score."""
        scores = [score for _, score in self.model["vocab"]]
        unknown = self.model.get("unk_id")
        return super().own() | {scores.index(min(scores))} | ({unknown} if unknown is not None else set())

    def letters(self, piece: str) -> list[str]:
        """Its characters."""
        return list(piece)

    def text(self, piece: str) -> str:
        """The piece, with its mark of a space."""
        return piece

    def trimmed(self, new_ids: Mapping[int, int]) -> dict[str, Any]:
        """The kept pieces with their scores."""
        vocabulary = [entry for old, entry in enumerate(self.model["vocab"]) if old in new_ids]
        unknown = self.model.get("unk_id")
        return {**self.model, "vocab": vocabulary, "unk_id": None if unknown is None else new_ids[unknown]}
