"""No factorization: the dense baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from embfact.embeddings.layout import Part
from embfact.factorization.base import Evidence, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.dense import DenseEmbedding


class Dense(Factorization):
    """Keep the table as it is; what the other methods are compared with."""

    name: ClassVar[str] = "none"
    uses_rank: ClassVar[bool] = False
    has_projection: ClassVar[bool] = False

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """The whole table: V H parameters."""
        return (Part(vocab_size, hidden_size),)

    def fit(
        self,
        table: torch.Tensor,
        rank: int | None = None,
        *,
        evidence: Evidence | None = None,
        padding_idx: int | None = None,
        seed: int = 0,
    ) -> DenseEmbedding:
        """A copy of the table; see `Factorization.fit`."""
        from embfact.embeddings.dense import DenseEmbedding
        from embfact.factorization.decomposition import check_table

        check_table(table)
        return DenseEmbedding.from_table(table, padding_idx)
