"""SVD that spends its rank on the tokens that occur."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from embfact.factorization.base import Evidence, EvidenceKind, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.low_rank import LowRankEmbedding


class WeightedSVD(Factorization):
    """min sum_v p_v |W_v - A_v B|² with p the token frequency: B = top eigenvectors of Wᵀ diag(p) W, and A = W Bᵀ.

    For a lookup, whose input is one-hot, the activation-aware methods DRONE (Chen et al., 2021) and SVD-LLM (Wang et
    al., 2024) reduce to this. Tokens that were never counted do not shape B but keep their projection on it, and
    axes that the counted tokens leave free go to the others.
    """

    name: ClassVar[str] = "weighted_svd"
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts"})

    smoothing: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="added to the count of every token; 0: optimal for the counted text; more: closer to svd",
    )

    def fit(
        self,
        table: torch.Tensor,
        rank: int | None,
        *,
        evidence: Evidence | None = None,
        padding_idx: int | None = None,
        seed: int = 0,
    ) -> LowRankEmbedding:
        """The best factors of rank r for the counted tokens; see `Factorization.fit`."""
        from embfact.factorization.decomposition import check_table, principal_axes, truncate
        from embfact.factorization.token_counts import checked_counts

        vocab_size, hidden_size = check_table(table)
        self.check_size(vocab_size, hidden_size, rank, allow_larger=True)
        counts = checked_counts(evidence, vocab_size, self.name) + self.smoothing
        return truncate(table, principal_axes(table, row_weights=counts / counts.sum()), rank, padding_idx)
