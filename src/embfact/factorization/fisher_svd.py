"""SVD that spends its rank on the tokens whose vectors matter to the loss."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from embfact.factorization.base import Evidence, EvidenceKind
from embfact.factorization.spectral import Scaling, Spectral


class FisherSVD(Spectral):
    """min Σ_v f_v |W_v - A_v B|² with f_v the summed squared gradient of the loss at row v: B and A as in weighted_svd.

    Hsu et al. (ICLR 2022), "Language model compression with weighted low-rank factorization" (FWSVD): the empirical
    Fisher information of a row's H entries, summed so that the weighted problem keeps its closed form. They factorize
    the linear layers and leave out the token table; here it is the table. Rows without a gradient, those of unseen
    tokens, do not shape B but keep their projection on it.
    """

    name: ClassVar[str] = "fisher_svd"
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"row_gradients"})

    smoothing: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="added to the weight of every row, as a multiple of the mean weight; more: closer to svd",
    )

    def caveat(self, fine_tuned: bool) -> str | None:
        """FWSVD takes gradients of a fine-tuned model."""
        if fine_tuned:
            return None
        return (
            "gradients of a pretrained backbone with a briefly trained head, where FWSVD (Hsu et al., 2022) has a "
            "fine-tuned model: model.from_run=RUN"
        )

    def scaling(self, vocab_size: int, hidden_size: int, evidence: Evidence | None) -> Scaling:
        """Rows by their smoothed squared gradients."""
        from embfact.factorization.gradients import checked_row_gradients

        gradients = checked_row_gradients(evidence, vocab_size, self.name)
        shares = gradients / gradients.sum() + self.smoothing / vocab_size
        return Scaling(rows=shares / shares.sum())
