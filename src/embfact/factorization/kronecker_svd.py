"""SVD of a table with rows weighted by frequency and columns by the gradients of the loss."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from embfact.factorization.base import Evidence, EvidenceKind
from embfact.factorization.spectral import Scaling, Spectral


class KroneckerSVD(Spectral):
    """min Σ_v p_v (W_v - A_v B) M (W_v - A_v B)ᵀ, with p the token frequency and M = E[g gᵀ] the gradient's moments.

    diag(p) ⊗ M is a Kronecker-factored approximation of the Fisher information of the table (Martens and Grosse, 2015,
    for layers). With V_r the top right singular vectors of diag(p)^½ W M^½ the optimum is B = V_rᵀ M^-½ and A = W M^½
    V_r. No weight is divided by, so a token that was never counted keeps its best projection. M is damped, so that
    directions without a gradient in the calibration rows still count.

    The optimum does not depend on the scale of M, whose mean diagonal is set to one: A and B then have about the scale
    of `svd`.
    """

    name: ClassVar[str] = "kronecker_svd"
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts", "gradient_metric"})

    damping: float = Field(
        default=0.1,
        gt=0,
        allow_inf_nan=False,
        description="this times the mean of M's diagonal is added to the diagonal; more: closer to weighted_svd",
    )
    smoothing: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="added to the count of every token; 0: optimal for the counted text; more: rows count more equally",
    )

    def scaling(self, vocab_size: int, hidden_size: int, evidence: Evidence | None) -> Scaling:
        """Rows by their smoothed frequency, columns by the damped metric."""
        from embfact.factorization.gradients import checked_metric
        from embfact.factorization.token_counts import checked_counts

        counts = checked_counts(evidence, vocab_size, self.name) + self.smoothing
        return Scaling(counts / counts.sum(), checked_metric(evidence, hidden_size, self.damping, self.name))
