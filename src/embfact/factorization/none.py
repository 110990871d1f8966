"""No factorization: the dense baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from embfact.embeddings.layout import Part
from embfact.factorization.base import Evidence, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.dense import DenseEmbedding


class Dense(Factorization):
    """Keep the table as it is: the baseline of all other methods."""

    name: ClassVar[str] = "none"
    uses_rank: ClassVar[bool] = False
    has_projection: ClassVar[bool] = False

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """The whole table: V H parameters."""
        return (Part(vocab_size, hidden_size),)

    def _fit(
        self, table: torch.Tensor, rank: int, evidence: Evidence | None, padding_idx: int | None, seed: int
    ) -> DenseEmbedding:
        from embfact.embeddings.dense import DenseEmbedding

        return DenseEmbedding.from_table(table, padding_idx)
