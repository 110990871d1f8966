"""Randomly drawn factors: the accuracy that remains without the pretrained table."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from embfact.factorization.base import Evidence, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.low_rank import LowRankEmbedding


class Random(Factorization):
    """Independent normal factors whose product has the entry-wise variance s² of the table, and mean zero.

    B has variance 1/H and A has s² H / r, so that A B has r (s² H / r) (1/H) = s². The rows of B have a length near
    one, like those of `svd`, so both methods fine-tune at the same learning rate.
    """

    name: ClassVar[str] = "random"

    def _fit(
        self, table: torch.Tensor, rank: int, evidence: Evidence | None, padding_idx: int | None, seed: int
    ) -> LowRankEmbedding:
        """Factors that depend only on the seed and the table's variance; the padding vector is zero, as in torch."""
        import torch

        from embfact.embeddings.low_rank import LowRankEmbedding

        vocab_size, hidden_size = table.shape
        draw = torch.Generator().manual_seed(seed)
        deviation = table.detach().double().std(correction=0).item()
        factors = torch.randn(vocab_size, rank, generator=draw) * deviation * (hidden_size / rank) ** 0.5
        projection = torch.randn(rank, hidden_size, generator=draw) / hidden_size**0.5
        if padding_idx is not None:
            factors[padding_idx] = 0
        return LowRankEmbedding.from_factors(factors.to(table), projection.to(table), padding_idx)
