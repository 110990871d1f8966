"""Exact rows for the most frequent tokens, low rank for all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from embfact.embeddings.layout import Part
from embfact.factorization.base import Evidence, EvidenceKind, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.hybrid import HybridEmbedding


class HybridSVD(Factorization):
    """W_v ~ A_v B for all tokens, and a residual row W_v - A_v B for the K most frequent ones, which keep their vector.

    A few tokens make up most of a text (Zipf, 1935): exact rows for them remove the large errors, so B is free to fit
    the rest: it holds the top eigenvectors of Σ (p_v + smoothing) W_vᵀ W_v over all tokens but the exact ones. A = W Bᵀ
    for every token, so the exact ones start where the others do, and move with B as well as on their own.

    Both parts together, including the ids of the exact tokens, are no larger than the factors of rank r of `svd` in
    float32: K and the rank q of the shared factors split r (V + H) numbers.

    The padding token is never exact, however often it is counted: nothing attends to its vector.
    """

    name: ClassVar[str] = "hybrid_svd"
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts"})

    exact_rows: int | None = Field(
        default=None,
        ge=1,
        description="K, number of the most frequent tokens that keep their vector, at H + 1 numbers each; "
        "null: as many as exact_share pays for",
    )
    exact_share: float = Field(
        default=0.4,
        gt=0,
        lt=1,
        description="share of the numbers of rank r for the exact rows; the factors get the rest, in whole ranks",
    )
    smoothing: float = Field(
        default=1.0,
        ge=0,
        allow_inf_nan=False,
        description="added to the count of every token that is not exact; 0: optimal for the counted text",
    )

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """Factors, residual rows and the ids of the exact tokens: q (V + H) + K H parameters."""
        rows, inner = self.split(vocab_size, hidden_size, rank)
        return Part(vocab_size, inner), Part(inner, hidden_size), Part(rows, hidden_size), Part(rows, 1, "index")

    def split(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[int, int]:
        """The numbers K of exact rows and q of shared axes that r (V + H) numbers pay for.

        Neither falls when the rank grows. From `smallest_rank` on q (V + H) + K (H + 1) is at most r (V + H).
        """
        axis, row = vocab_size + hidden_size, hidden_size + 1
        if self.exact_rows is not None:
            return self.exact_rows, max(1, (rank * axis - self.exact_rows * row) // axis)
        # Rounding may leave a share of whole ranks slightly below them.
        inner = max(1, int((1 - self.exact_share) * rank + 1e-9))
        return max(1, min(vocab_size - 1, (rank - inner) * axis // row)), inner

    def smallest_rank(self, vocab_size: int, hidden_size: int) -> int:
        """One rank for the factors, and the exact rows."""
        rows = (self.exact_rows or 1) * (hidden_size + 1)
        return 1 - (-rows // (vocab_size + hidden_size))

    def _why_too_small(self, vocab_size: int, hidden_size: int) -> str:
        smallest = self.smallest_rank(vocab_size, hidden_size)
        if self.exact_rows is None:
            return super()._why_too_small(vocab_size, hidden_size)
        if self.largest_rank(vocab_size, hidden_size) < smallest:
            most = (vocab_size * hidden_size - 1 - vocab_size - hidden_size) // (hidden_size + 1)
            remedy = f"keep at most {most}" if most > 0 else "use factorization=none"
            return f": {self.exact_rows} exact rows leave no room for factors; {remedy}"
        beside = f"it leaves no room for factors beside {self.exact_rows} exact rows"
        return f": {beside}; use rank {smallest} or more, or fewer exact rows"

    def _check_options(self, vocab_size: int, hidden_size: int) -> None:
        if self.exact_rows is not None and self.exact_rows >= vocab_size:
            raise ValueError(
                f"exact_rows must be below the {vocab_size} tokens of the table (found {self.exact_rows}); keep fewer"
            )

    def _fit(
        self, table: torch.Tensor, rank: int, evidence: Evidence | None, padding_idx: int | None, seed: int
    ) -> HybridEmbedding:
        from embfact.embeddings.hybrid import HybridEmbedding
        from embfact.factorization.decomposition import truncate
        from embfact.factorization.decomposition_cache import decompose
        from embfact.factorization.token_counts import by_frequency, checked_counts

        counts = checked_counts(evidence, len(table), self.name)
        rows, inner = self.split(table.shape[0], table.shape[1], rank)
        order = by_frequency(counts, padding_idx)
        exact, rest = (ids.sort().values for ids in (order[:rows], order[rows:]))
        weights = counts[rest] + self.smoothing
        # All weights are zero if every counted token is exact and the smoothing is 0.
        shares = weights / (weights.sum().item() or 1.0)
        axes = decompose(table[rest.to(table.device)], shares).axes
        shared = truncate(table, axes, inner, padding_idx)
        # Relative to the factors as they are stored, so that rounding them does not affect the exact rows.
        low_rank = shared.factors.matrix().cpu()[exact].double() @ shared.projection.matrix().cpu().double()
        residual = table.detach().cpu()[exact].double() - low_rank
        return HybridEmbedding.from_parts(shared, exact, residual.to(table))
