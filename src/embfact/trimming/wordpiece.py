"""WordPiece (Schuster and Nakajima, 2012), as in BERT: the longest piece that fits is taken, from left to right.

A text whose pieces are all kept has the same pieces: the longest piece at each place is still there, and no longer one
was added. Any other word is spelled with shorter pieces, down to letters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embfact.trimming.vocabulary import Vocabulary


class WordPiece(Vocabulary):
    """Pieces within a word have a prefix, ``##``."""

    def _read(self) -> dict[str, int]:
        return dict(self.model["vocab"])

    @property
    def _prefix(self) -> str:
        return str(self.model.get("continuing_subword_prefix") or "##")

    def letters(self, piece: str) -> list[str]:
        """``##ing`` is ``##i``, ``##n``, ``##g``; ``in`` is ``i``, ``##n``."""
        text = self.text(piece)
        first = "" if text == piece else self._prefix
        return [f"{self._prefix if place else first}{letter}" for place, letter in enumerate(text)]

    def text(self, piece: str) -> str:
        """The piece without its prefix; the prefix alone is text."""
        return piece.removeprefix(self._prefix) or piece

    def trimmed(self, new_ids: Mapping[int, int]) -> dict[str, Any]:
        """Everything but the vocabulary stays."""
        return {**self.model, "vocab": self._renumbered(new_ids)}
