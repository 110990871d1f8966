"""Exact rows for the tokens that a task uses, one shared row for all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from embfact.embeddings.layout import Part
from embfact.factorization.base import Evidence, EvidenceKind, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.pruned import PrunedEmbedding


class VocabularyPruning(Factorization):
    """The K most frequent tokens keep their rows; all others look up the weighted mean of the dropped rows.

    The baseline of every other method: a task uses few tokens (Zipf, 1935), and with known counts they can be kept
    exactly. For a given set of kept tokens, that mean is the shared row of least weighted squared error.

    A token that does not occur in the counted text, including special and padding tokens, is kept only if K exceeds the
    number of tokens that do. Ties are kept in the order of their ids.
    """

    name: ClassVar[str] = "vocabulary_pruning"
    size_name: ClassVar[str] = "kept rows"
    knows_energy: ClassVar[bool] = True
    has_projection: ClassVar[bool] = False
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts"})

    smoothing: float = Field(
        default=1.0,
        ge=0,
        allow_inf_nan=False,
        description="added to the count of each pruned token in their shared mean; 0: best for the counted text",
    )

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """The kept rows, the shared row, and the ids of the kept ones: (K + 1) H parameters and 4 K bytes of ids."""
        return Part(rank + 1, hidden_size), Part(rank, 1, "index")

    def rank_limit(self, vocab_size: int, hidden_size: int) -> int:
        """All tokens but one, since pruned tokens share a row."""
        return vocab_size - 1

    def rank_for_energy(self, table: torch.Tensor, energy: float, evidence: Evidence | None = None) -> int:
        """The fewest rows that cover a share of all token occurrences; with 1.0 all tokens that occur."""
        from embfact.factorization.token_counts import checked_counts

        covered = checked_counts(evidence, len(table), self.name).sort(descending=True).values.cumsum(0)
        return int((covered < energy * covered[-1]).sum()) + 1

    def _fit(
        self, table: torch.Tensor, rank: int, evidence: Evidence | None, padding_idx: int | None, seed: int
    ) -> PrunedEmbedding:
        from embfact.embeddings.pruned import PrunedEmbedding
        from embfact.factorization.token_counts import by_frequency, checked_counts

        counts = checked_counts(evidence, len(table), self.name)
        order = by_frequency(counts)
        kept, pruned = order[:rank].sort().values, order[rank:].sort().values
        weights = counts[pruned] + self.smoothing
        # All weights are zero if every counted token is kept and the smoothing is 0: then all weigh the same.
        weights = weights / weights.sum() if weights.any() else weights + 1 / len(weights)
        rows = table.detach()
        shared = weights @ rows[pruned.to(table.device)].to("cpu", weights.dtype)
        return PrunedEmbedding.from_rows(len(table), kept, rows[kept.to(table.device)], shared.to(table), padding_idx)
