"""The table as it is: the baseline of every smaller embedding."""

from __future__ import annotations

import torch
from torch import nn

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.rows import Rows


class DenseEmbedding(Rows, TokenEmbedding):
    """The lookup of a `torch.nn.Embedding`, with the same state dict, that can be stored smaller.

    Args:
        num_embeddings: Vocabulary size V.
        embedding_dim: Width H of the vectors.
        padding_idx: Id whose vector receives no gradient, or None.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None):
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim

    @classmethod
    def from_table(cls, table: torch.Tensor, padding_idx: int | None = None) -> DenseEmbedding:
        """A module with a copy of the table, shape ``(V, H)``, in the table's dtype and on its device."""
        module = cls(table.shape[0], table.shape[1], padding_idx)
        module.weight = nn.Parameter(table.detach().clone())
        return module

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores ``(..., V)`` of hidden states ``(..., H)``."""
        return super().logits(hidden) if self.storage.quantized else hidden @ self.matrix().T
