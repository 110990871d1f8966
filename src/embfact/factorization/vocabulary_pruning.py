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
    """The K most frequent tokens keep their rows; all others look up the weighted mean of the rows that went.

    The baseline of every other method: a task uses few tokens (Zipf, 1935), and who knows which keeps them exactly. For
    given tokens to keep, that mean is the shared row of least weighted squared error.

    A token that does not occur in the counted text, a special or a padding token too, is kept only where K is larger
    than the number of tokens that do. Equally frequent ones are kept in the order of their ids.
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
        description="added to the count of each pruned token in the mean that they share; 0: best for the counted text",
    )

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """The kept rows, the shared one, and the ids of the former: (K + 1) H parameters and 4 K bytes of ids."""
        return Part(rank + 1, hidden_size), Part(rank, 1, "index")

    def rank_limit(self, vocab_size: int, hidden_size: int) -> int:
        """All tokens but one: what is pruned shares a row."""
        return vocab_size - 1

    def rank_for_energy(self, table: torch.Tensor, energy: float, evidence: Evidence | None = None) -> int:
        """The fewest rows that cover a share of all token occurrences; with 1.0 all tokens that occur."""
        from embfact.factorization.token_counts import checked_counts

        covered = checked_counts(evidence, len(table), self.name).sort(descending=True).values.cumsum(0)
        return int((covered < energy * covered[-1]).sum()) + 1

    def fit(
        self,
        table: torch.Tensor,
        rank: int | None,
        *,
        evidence: Evidence | None = None,
        padding_idx: int | None = None,
        seed: int = 0,
    ) -> PrunedEmbedding:
        """The rows of the most frequent tokens and the mean of the others; see `Factorization.fit`."""
        from embfact.embeddings.pruned import PrunedEmbedding
        from embfact.factorization.decomposition import check_table
        from embfact.factorization.token_counts import by_frequency, checked_counts

        vocab_size, hidden_size = check_table(table)
        self.check_size(vocab_size, hidden_size, rank, allow_larger=True)
        counts = checked_counts(evidence, vocab_size, self.name)
        order = by_frequency(counts)
        kept, pruned = order[:rank].sort().values, order[rank:].sort().values
        weights = counts[pruned] + self.smoothing
        # Where nothing weighs, because all counted tokens are kept and nothing is added, all weigh the same.
        weights = weights / weights.sum() if weights.any() else weights + 1 / len(weights)
        rows = table.detach()
        shared = weights @ rows[pruned.to(table.device)].to("cpu", weights.dtype)
        return PrunedEmbedding.from_rows(vocab_size, kept, rows[kept.to(table.device)], shared.to(table), padding_idx)
