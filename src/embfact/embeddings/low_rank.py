"""A table stored as the product of two thin factors."""

from __future__ import annotations

import torch
from torch import nn

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.rows import Rows


class LowRankEmbedding(TokenEmbedding):
    """The table W (V x H) as A B, or 1 muᵀ + A B: look up r numbers per token, then project them to H.

    The padding row of A receives no gradient, as in `torch.nn.Embedding`. B belongs to all tokens and still trains, so
    the vector of the padding id moves with B; gradients from padding positions to B are not masked.

    Args:
        num_embeddings: Vocabulary size V.
        embedding_dim: Width H of the vectors.
        rank: Inner dimension r.
        padding_idx: Id whose row of A receives no gradient, or None; negative counts from the end.
        centered: Whether a vector mu is added to every row.

    Attributes:
        factors: A, ``V x r``.
        projection: B, ``r x H``.
        mean: mu, shape ``(H,)``, or None.
    """

    projection_parts = ("projection", "mean")

    def __init__(
        self, num_embeddings: int, embedding_dim: int, rank: int, padding_idx: int | None = None, centered: bool = False
    ):
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.rank = rank
        self.centered = centered
        self.factors = Rows(num_embeddings, rank, padding_idx)
        self.projection = Rows(rank, embedding_dim)
        self.mean = nn.Parameter(torch.zeros(embedding_dim)) if centered else None

    @classmethod
    def from_factors(
        cls,
        factors: torch.Tensor,
        projection: torch.Tensor,
        padding_idx: int | None = None,
        mean: torch.Tensor | None = None,
    ) -> LowRankEmbedding:
        """A module with the given A, shape ``(V, r)``, B, shape ``(r, H)``, and mu, shape ``(H,)``, or none.

        It keeps their dtype and device.
        """
        (vocab_size, rank), hidden_size = factors.shape, projection.shape[1]
        module = cls(0, hidden_size, rank, centered=mean is not None)
        module.num_embeddings = vocab_size
        module.factors = Rows.of(factors, padding_idx)
        module.padding_idx = module.factors.padding_idx
        module.projection = Rows.of(projection)
        if mean is not None:
            module.mean = nn.Parameter(mean.detach())
        return module

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``."""
        vectors = self.factors(ids) @ self.projection.matrix()
        return vectors if self.mean is None else vectors + self.mean

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores ``(..., V)`` of hidden states ``(..., H)``: h Bᵀ Aᵀ, plus h mu for every token."""
        scores = (hidden @ self.projection.matrix().T) @ self.factors.matrix().T
        return scores if self.mean is None else scores + (hidden @ self.mean).unsqueeze(-1)
