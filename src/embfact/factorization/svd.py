"""Truncated SVD of the table: the nearest table of rank r (Eckart and Young, 1936)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from embfact.factorization.base import Evidence, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.low_rank import LowRankEmbedding


class SVD(Factorization):
    """min |W - A B|² over all A (V x r) and B (r x H): B holds the top right singular vectors of W, and A = W Bᵀ."""

    name: ClassVar[str] = "svd"

    route: Literal["gram", "qr"] = Field(
        default="gram",
        description="gram: eigenvectors of WᵀW, the fastest; qr: for float64 tables that are badly conditioned",
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
        """The best factors of rank r; see `Factorization.fit`."""
        from embfact.factorization.decomposition import check_table, principal_axes, truncate

        vocab_size, hidden_size = check_table(table)
        self.check_size(vocab_size, hidden_size, rank, allow_larger=True)
        return truncate(table, principal_axes(table, route=self.route), rank, padding_idx)
