"""Factors drawn at random: what is left of the accuracy when the pretrained table is thrown away."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from embfact.factorization.base import Evidence, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.low_rank import LowRankEmbedding


class Random(Factorization):
    """Independent normal factors whose product has the entry-wise variance s² of the table, and mean zero.

    B has variance 1/H and A has s² H / r, so that (A B) has r (s² H / r) (1/H) = s². The rows of B have a length near
    one, as those of `svd` have: both methods fine-tune at the same learning rate.
    """

    name: ClassVar[str] = "random"

    def fit(
        self,
        table: torch.Tensor,
        rank: int | None,
        *,
        evidence: Evidence | None = None,
        padding_idx: int | None = None,
        seed: int = 0,
    ) -> LowRankEmbedding:
        """Factors of rank r that depend on the seed and the variance of the table alone; see `Factorization.fit`.

        The vector of the padding id is zero, as in a fresh `torch.nn.Embedding`.
        """
        import torch

        from embfact.embeddings.low_rank import LowRankEmbedding
        from embfact.factorization.decomposition import check_table

        vocab_size, hidden_size = check_table(table)
        self.check_size(vocab_size, hidden_size, rank, allow_larger=True)
        size = int(rank or 0)
        draw = torch.Generator().manual_seed(seed)
        deviation = table.detach().double().std(correction=0).item()
        factors = torch.randn(vocab_size, size, generator=draw) * deviation * (hidden_size / size) ** 0.5
        projection = torch.randn(size, hidden_size, generator=draw) / hidden_size**0.5
        if padding_idx is not None:
            factors[padding_idx] = 0
        return LowRankEmbedding.from_factors(factors.to(table), projection.to(table), padding_idx)
