"""The nearest table of rank r by the eigenvectors of WᵀW: `svd` under its other classical name."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from embfact.factorization.base import Evidence, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.low_rank import LowRankEmbedding


class EVD(Factorization):
    """B holds the eigenvectors of WᵀW with the r largest eigenvalues, and A = W Bᵀ.

    The eigenvectors of WᵀW are the right singular vectors of W and its eigenvalues their squared singular values, so
    this is the optimum of Eckart and Young (1936), bit for bit what `svd` gives by its route ``gram``.
    """

    name: ClassVar[str] = "evd"

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
        return truncate(table, principal_axes(table, route="gram"), rank, padding_idx)
