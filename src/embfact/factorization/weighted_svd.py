"""SVD that spends its rank on the tokens that occur."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from embfact.factorization.base import Evidence, EvidenceKind
from embfact.factorization.spectral import Scaling, Spectral


class WeightedSVD(Spectral):
    """min Σ_v p_v |W_v - A_v B|² with p the token frequency: B = top eigenvectors of Wᵀ diag(p) W, and A = W Bᵀ.

    For a lookup, whose input is one-hot, the activation-aware methods DRONE (Chen et al., 2021) and SVD-LLM (Wang et
    al., 2024) reduce to this. Tokens that were never counted do not shape B but keep their projection on it, and axes
    that the counted tokens leave free go to the others.
    """

    name: ClassVar[str] = "weighted_svd"
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts"})

    smoothing: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="added to the count of every token; 0: optimal for the counted text; more: closer to svd",
    )

    def scaling(self, vocab_size: int, hidden_size: int, evidence: Evidence | None) -> Scaling:
        """Rows by their smoothed frequency."""
        from embfact.factorization.token_counts import checked_counts

        counts = checked_counts(evidence, vocab_size, self.name) + self.smoothing
        return Scaling(rows=counts / counts.sum())
