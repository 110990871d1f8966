"""Exact rows for the most frequent tokens, low rank for all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from embfact.factorization.base import Evidence, EvidenceKind, Factorization
from embfact.factorization.layout import Part

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.hybrid import HybridEmbedding


class HybridSVD(Factorization):
    """W_v ~ A_v B for all tokens, and a residual row W_v - A_v B for the K most frequent ones, which keep their vector.

    Few tokens make up most of a text (Zipf, 1935): exact rows for them take the large errors away, and B is free to fit
    the rest: it holds the top eigenvectors of Σ (p_v + smoothing) W_vᵀ W_v over all tokens but the exact ones. A = W Bᵀ
    for every token, so that the exact ones start where the others are and move with B as well as on their own.

    The padding token is never among the exact ones, however often it is counted: nothing attends to its vector.
    """

    name: ClassVar[str] = "hybrid_svd"
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts"})

    exact_rows: int = Field(
        default=2000,
        ge=1,
        description="K, how many of the most frequent tokens keep their exact vector, at H + 1 numbers each",
    )
    smoothing: float = Field(
        default=1.0,
        ge=0,
        allow_inf_nan=False,
        description="added to the count of every token that is not exact; 0: optimal for the counted text",
    )

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """Factors, residual rows and the ids of the exact tokens: r (V + H) + K H parameters."""
        rows = self.exact_rows
        return Part(vocab_size, rank), Part(rank, hidden_size), Part(rows, hidden_size), Part(rows, 1, "index")

    def _check_options(self, vocab_size: int, hidden_size: int) -> None:
        if self.exact_rows >= vocab_size:
            raise ValueError(
                f"exact_rows must be below the {vocab_size} tokens of the table (found {self.exact_rows}); keep fewer"
            )

    def fit(
        self,
        table: torch.Tensor,
        rank: int | None,
        *,
        evidence: Evidence | None = None,
        padding_idx: int | None = None,
        seed: int = 0,
    ) -> HybridEmbedding:
        """The exact rows and the best factors of rank r for the other tokens; see `Factorization.fit`."""
        from embfact.embeddings.hybrid import HybridEmbedding
        from embfact.factorization.decomposition import check_table, principal_axes, truncate
        from embfact.factorization.token_counts import by_frequency, checked_counts

        vocab_size, hidden_size = check_table(table)
        self.check_size(vocab_size, hidden_size, rank, allow_larger=True)
        counts = checked_counts(evidence, vocab_size, self.name)
        order = by_frequency(counts, padding_idx)
        exact, rest = (ids.sort().values for ids in (order[: self.exact_rows], order[self.exact_rows :]))
        weights = counts[rest] + self.smoothing
        # Nothing is left to weigh where every counted token is exact and nothing is added.
        shares = weights / (weights.sum().item() or 1.0)
        shared = truncate(table, principal_axes(table[rest.to(table.device)], shares), rank, padding_idx)
        # Measured against the factors as they are stored, so that rounding them costs the exact rows nothing.
        low_rank = shared.factors.matrix().cpu()[exact].double() @ shared.projection.matrix().cpu().double()
        residual = table.detach().cpu()[exact].double() - low_rank
        return HybridEmbedding.from_parts(shared, exact, residual.to(table))
