"""A few numbers per token, and a small network that turns them into its vector."""

from __future__ import annotations

import torch
from torch import nn

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.rows import Rows


class DecoderEmbedding(TokenEmbedding):
    """Rows A_v B + tanh(A_v P + c) Q: a factorized table plus the output of a hidden layer.

    After the non-linear decoders of Lioutas et al. (2020). The linear path lets it start from any two factors: with Q
    zero it is A B.

    The padding row of A receives no gradient; the whole decoder trains, like B in `LowRankEmbedding`.

    Args:
        num_embeddings: Vocabulary size V.
        embedding_dim: Width H of the vectors.
        rank: Numbers r of a token.
        hidden_units: Width of the hidden layer.
        padding_idx: Id whose row of A receives no gradient, or None; negative counts from the end.

    Attributes:
        factors: A, ``V x r``.
        projection: B, ``r x H``.
        inner: P, ``r x hidden_units``.
        bias: c, shape ``(hidden_units,)``.
        outer: Q, ``hidden_units x H``.
    """

    projection_parts = ("projection", "inner", "bias", "outer")

    def __init__(
        self, num_embeddings: int, embedding_dim: int, rank: int, hidden_units: int, padding_idx: int | None = None
    ):
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.rank = rank
        self.hidden_units = hidden_units
        self.factors = Rows(num_embeddings, rank, padding_idx)
        self.projection = Rows(rank, embedding_dim)
        self.inner = Rows(rank, hidden_units)
        self.bias = nn.Parameter(torch.zeros(hidden_units))
        self.outer = Rows(hidden_units, embedding_dim)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``."""
        codes = self.factors(ids)
        return codes @ self.projection.matrix() + self._units(codes) @ self.outer.matrix()

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores ``(..., V)`` of hidden states ``(..., H)``: h Bᵀ A_vᵀ + h Qᵀ tanh(A_v P + c)ᵀ, in blocks."""
        linear, units = hidden @ self.projection.matrix().T, hidden @ self.outer.matrix().T
        codes = [self.factors(ids) for ids in self._blocks()]
        return torch.cat([linear @ block.T + units @ self._units(block).T for block in codes], dim=-1)

    def _units(self, codes: torch.Tensor) -> torch.Tensor:
        return torch.tanh(codes @ self.inner.matrix() + self.bias)
