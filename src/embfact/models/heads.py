"""Output layers that score tokens with the input embedding itself, so that both stay one set of weights."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from embfact.embeddings.base import TokenEmbedding

TABLE_IS_PASSED = {"DebertaLMPredictionHead", "DebertaV2LMPredictionHead"}
"""Output layers of transformers that get the input embedding in every call and use its ``weight``."""


class TiedHead(nn.Module):
    """The scores of all tokens from the input embedding: h Wᵀ + b, where W is never built if the embedding avoids it.

    The embedding is not a submodule: its weights belong to the input alone, so the state dict has them once. A copy, a
    pickle or a move of the whole model includes both.

    Args:
        embedding: The input embedding.
        bias: One number per token, or None; the parameter is shared with its other owners.
    """

    bias: nn.Parameter | None

    def __init__(self, embedding: TokenEmbedding, bias: nn.Parameter | None = None):
        super().__init__()
        # In a tuple a module is not a submodule, yet is copied as one object with the input.
        self._tied_to = (embedding,)
        self.register_parameter("bias", bias)

    @property
    def embedding(self) -> TokenEmbedding:
        """The input embedding."""
        return self._tied_to[0]

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores ``(..., V)`` of hidden states ``(..., H)``."""
        scores = self._tied_to[0].logits(hidden)
        return scores if self.bias is None else scores + self.bias

    def extra_repr(self) -> str:
        """What `print(model)` says about this module."""
        return f"{self.embedding.embedding_dim} to {self.embedding.num_embeddings}, bias={self.bias is not None}"


class PassedTableHead(nn.Module):
    """The masked-language head of DeBERTa, which gets the input embedding in every call.

    Args:
        head: The head as transformers builds it; its parts are taken over under their names.
    """

    def __init__(self, head: nn.Module):
        super().__init__()
        parts = cast(Any, head)
        self.dense, self.LayerNorm, self.bias = parts.dense, parts.LayerNorm, parts.bias
        self.transform_act_fn = parts.transform_act_fn

    def forward(self, hidden: torch.Tensor, embedding: TokenEmbedding) -> torch.Tensor:
        """Scores ``(..., V)`` of hidden states ``(..., H)`` by the rows of the embedding."""
        return embedding.logits(self.LayerNorm(self.transform_act_fn(self.dense(hidden)))) + self.bias


def tied_to(head: nn.Module, embedding: TokenEmbedding) -> nn.Module:
    """The replacement of a head (`torch.nn.Linear`, or of `TABLE_IS_PASSED`) that shared its weight with the table."""
    passed, bias = type(head).__name__ in TABLE_IS_PASSED, head._parameters.get("bias")
    return (PassedTableHead(head) if passed else TiedHead(embedding, bias)).train(head.training)
