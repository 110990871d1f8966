"""The interface of every module that stands in for a token-embedding table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import nn


class TokenEmbedding(nn.Module, ABC):
    """A smaller module with the lookup of a V x H `torch.nn.Embedding`.

    Attributes:
        num_embeddings: Vocabulary size V.
        embedding_dim: Width H of the vectors it gives.
        padding_idx: Id whose vector receives no gradient, or None.
    """

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None

    @abstractmethod
    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Constructor arguments (JSON values) that build an empty module of this shape, to load saved weights into."""

    @torch.no_grad()
    def dense(self) -> torch.Tensor:
        """The whole V x H table that this module stands for, shape ``(V, H)``."""
        return self(torch.arange(self.num_embeddings, device=next(self.parameters()).device))
