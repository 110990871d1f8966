"""A table kept as the product of two thin factors."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from embfact.embeddings.base import TokenEmbedding


class LowRankEmbedding(TokenEmbedding):
    """The table W (V x H) as A B: look up r numbers a token, then project them to H.

    The padding row of A receives no gradient, as in `torch.nn.Embedding`. B belongs to all tokens and still trains, so
    the vector of the padding id moves with B; what padding positions send back to B is not masked.

    Args:
        num_embeddings: Vocabulary size V.
        embedding_dim: Width H of the vectors it gives.
        rank: Inner dimension r.
        padding_idx: Id whose row of A receives no gradient, or None; negative counts from the end.

    Attributes:
        factors: A, shape ``(V, r)``.
        projection: B, shape ``(r, H)``.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, rank: int, padding_idx: int | None = None):
        super().__init__()
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"padding_idx must be an id of the {num_embeddings} tokens (found {padding_idx})")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.rank = rank
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.factors = nn.Parameter(torch.zeros(num_embeddings, rank))
        self.projection = nn.Parameter(torch.zeros(rank, embedding_dim))

    @classmethod
    def from_factors(
        cls, factors: torch.Tensor, projection: torch.Tensor, padding_idx: int | None = None
    ) -> LowRankEmbedding:
        """A module with the given A, shape ``(V, r)``, and B, shape ``(r, H)``, in their dtype and on their device."""
        (vocab_size, rank), hidden_size = factors.shape, projection.shape[1]
        module = cls(vocab_size, hidden_size, rank, padding_idx)
        module.factors = nn.Parameter(factors.detach())
        module.projection = nn.Parameter(projection.detach())
        return module

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``."""
        return functional.embedding(ids, self.factors, self.padding_idx) @ self.projection

    def spec(self) -> dict[str, Any]:
        """Constructor arguments that build an empty module of this shape."""
        return {
            "num_embeddings": self.num_embeddings,
            "embedding_dim": self.embedding_dim,
            "rank": self.rank,
            "padding_idx": self.padding_idx,
        }

    def extra_repr(self) -> str:
        """What `print(model)` says about this module."""
        return ", ".join(f"{name}={value}" for name, value in self.spec().items())
