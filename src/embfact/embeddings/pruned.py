"""A table that keeps some rows and has one row for all other tokens."""

from __future__ import annotations

import torch

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.rows import Rows


class PrunedEmbedding(TokenEmbedding):
    """Own rows for K tokens, one shared row for the others.

    Only the sorted ids of the kept tokens are saved, and found by binary search: 4 K bytes, where a map over the
    vocabulary would take 4 V.

    Gradients from positions of the padding id are masked, whether its row is its own or the shared one.

    Args:
        num_embeddings: Vocabulary size V.
        embedding_dim: Width H of the vectors.
        kept_rows: Number K of tokens with a row of their own.
        padding_idx: Id that sends no gradient, or None; negative counts from the end.

    Attributes:
        rows: Rows of the kept tokens in the order of their ids, then the shared row, shape ``(K + 1, H)``.
        kept_ids: Ids of the kept tokens, ascending, int32, shape ``(K,)``.
    """

    kept_ids: torch.Tensor

    def __init__(self, num_embeddings: int, embedding_dim: int, kept_rows: int, padding_idx: int | None = None):
        if not 1 <= kept_rows < num_embeddings:
            raise ValueError(f"kept_rows must be 1 or more and below the {num_embeddings} tokens (found {kept_rows})")
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.kept_rows = kept_rows
        self.rows = Rows(kept_rows + 1, embedding_dim)
        self.register_buffer("kept_ids", torch.arange(kept_rows, dtype=torch.int32))

    @classmethod
    def from_rows(
        cls,
        num_embeddings: int,
        kept_ids: torch.Tensor,
        rows: torch.Tensor,
        shared: torch.Tensor,
        padding_idx: int | None = None,
    ) -> PrunedEmbedding:
        """A module of the given rows.

        Args:
            num_embeddings: Vocabulary size V.
            kept_ids: Ids of the kept tokens, ascending, each once, shape ``(K,)``.
            rows: Their rows, shape ``(K, H)``.
            shared: The row of all other tokens, shape ``(H,)``, in the dtype and on the device of the rows.
            padding_idx: As in `torch.nn.Embedding`.

        Raises:
            ValueError: If the ids are not such ids.
        """
        inside = len(kept_ids) > 0 and int(kept_ids[0]) >= 0 and int(kept_ids[-1]) < num_embeddings
        if not inside or (kept_ids.diff() <= 0).any():
            raise ValueError(f"kept_ids must be ascending ids of the {num_embeddings} tokens, each once")
        module = cls(num_embeddings, len(shared), len(kept_ids), padding_idx)
        module.rows = Rows.of(torch.cat([rows, shared.unsqueeze(0)]))
        module.kept_ids = kept_ids.to(rows.device, torch.int32)
        return module

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``."""
        return self._without_padding_gradient(self.rows(self._place(ids)), ids)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores ``(..., V)`` of hidden states ``(..., H)``: one for each row, given to its tokens."""
        scores = hidden @ self.rows.matrix().T
        return scores.index_select(-1, self._place(torch.arange(self.num_embeddings, device=self.kept_ids.device)))

    def _place(self, ids: torch.Tensor) -> torch.Tensor:
        """Row of each token: its own, or the last one, which the others share."""
        shared = len(self.kept_ids)
        place = torch.searchsorted(self.kept_ids, ids.to(torch.int32))
        return torch.where(self.kept_ids[place.clamp(max=shared - 1)] == ids, place, shared)
