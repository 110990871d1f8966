"""What the methods that are one SVD of a scaled table have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from embfact.embeddings.layout import Part
from embfact.factorization.base import Evidence, Factorization
from embfact.formatting.typed import typed

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.low_rank import LowRankEmbedding
    from embfact.factorization.decomposition_cache import Decomposition
    from embfact.factorization.spectrum import Metric, Route


@dataclass(frozen=True)
class Scaling:
    """Weights of the rows and columns of a table: min Σ_v p_v (W_v - mu - A_v B) M (W_v - mu - A_v B)ᵀ.

    Attributes:
        rows: p, shape ``(V,)``, or None for ones.
        columns: M, or None for the identity.
    """

    rows: torch.Tensor | None = None
    columns: Metric | None = None


class Spectral(Factorization):
    """W ~ A B or 1 mu + A B, from the singular vectors of diag(p)^1/2 (W - 1 mu) M^1/2.

    They are computed once per table: the factors of a smaller rank are the first columns of A and rows of B.
    """

    knows_energy: ClassVar[bool] = True
    refactorizable: ClassVar[bool] = True

    center: bool = Field(
        default=False, description="also add one vector of H to all rows, the (weighted) mean row of the table"
    )

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """Two factors, r (V + H) parameters, and H more for the mean if there is one."""
        factors = super().layout(vocab_size, hidden_size, rank)
        return (*factors, Part(1, hidden_size, "plain")) if self.center else factors

    def fit(
        self,
        table: torch.Tensor,
        rank: int | None = None,
        *,
        evidence: Evidence | None = None,
        padding_idx: int | None = None,
        seed: int = 0,
    ) -> LowRankEmbedding:
        """The best factors of rank r; see `Factorization.fit`."""
        from embfact.factorization.decomposition import check_shape

        vocab_size, hidden_size = check_shape(table)
        self.check_size(vocab_size, hidden_size, rank, allow_larger=True)
        size = int(rank or 0)
        return self._decompose(table, evidence, size, seed).truncate(table, size, padding_idx)

    def rank_for_energy(self, table: torch.Tensor, energy: float, evidence: Evidence | None = None) -> int:
        """The smallest rank that retains a share of Σ_v p_v W_v M W_vᵀ; see `Method.rank_for_energy`."""
        from embfact.factorization.decomposition import check_shape

        if not 0 < energy <= 1:
            raise ValueError(f"energy must be a share above 0 and at most 1, e.g. 0.9 (found {typed(energy)})")
        _, hidden_size = check_shape(table)
        asked, rank = 1, None
        # One round, unless the route finds only some axes.
        while rank is None:
            axes = self._decompose(table, evidence, min(asked, hidden_size)).axes
            asked, rank = 2 * len(axes.axes), axes.rank_for_energy(energy)
        return rank

    def scaling(self, vocab_size: int, hidden_size: int, evidence: Evidence | None) -> Scaling:
        """The weights of rows and columns; all equal unless a method overrides this.

        Args:
            vocab_size: Rows V of the table.
            hidden_size: Columns H of the table.
            evidence: What ``needs`` asks for.

        Raises:
            ValueError: If the evidence does not fit the table.
        """
        return Scaling()

    def _decompose(self, table: torch.Tensor, evidence: Evidence | None, rank: int, seed: int = 0) -> Decomposition:
        from embfact.factorization.decomposition_cache import decompose

        scaling = self.scaling(table.shape[0], table.shape[1], evidence)
        return decompose(
            table, scaling.rows, self._route(), metric=scaling.columns, center=self.center, rank=rank, seed=seed
        )

    def _route(self) -> Route:
        return "auto"
