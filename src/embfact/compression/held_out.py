"""Texts that no method has counted; errors are weighted by their tokens, since methods fit what they count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embfact.data.tokenized import Tokenized


@dataclass(frozen=True)
class HeldOut:
    """The tokens of the rows that are held out of training.

    Attributes:
        counts: Occurrences of each token, float64, shape ``(V,)``.
        rows: Number of rows.
        unseen_tokens: Share of their tokens, special ones excluded, that methods have never counted.
        unseen_rows: Share of the rows with such a token.
    """

    counts: np.ndarray
    rows: int
    unseen_tokens: float
    unseen_rows: float

    def __str__(self) -> str:
        """For a legend: ``600 held-out rows (4.6 % of their tokens, in 57.2 % of the rows, were never counted)``."""
        tokens, rows = (f"{100 * share:.1f} %" for share in (self.unseen_tokens, self.unseen_rows))
        return f"{self.rows:,} held-out rows ({tokens} of their tokens, in {rows} of the rows, were never counted)"


def held_out(rows: Tokenized, counted: np.ndarray, special: Sequence[int]) -> HeldOut:
    """Compare held-out rows with the counts ``(V,)`` that methods use; ``special`` are ids of special tokens."""
    unseen = counted == 0
    unseen[list(special)] = False
    counts = rows.token_counts(len(counted))
    words = counts.sum() - counts[list(special)].sum()
    among = unseen[rows.tokens]
    concerned = sum(bool(part.any()) for part in np.split(among, np.cumsum(rows.lengths)[:-1]))
    return HeldOut(counts, len(rows), float(among.sum() / max(words, 1)), concerned / len(rows))
