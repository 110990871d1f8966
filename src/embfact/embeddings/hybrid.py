"""A factorized table in which some tokens keep an exact row."""

from __future__ import annotations

import torch

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.low_rank import LowRankEmbedding
from embfact.embeddings.rows import Rows


class HybridEmbedding(TokenEmbedding):
    """The table W (V x H) as A B for all tokens, plus a residual row for K of them.

    Only the sorted ids of the exact tokens are stored, and found by binary search: 4 K bytes, where a map over the
    vocabulary would take 4 V.

    The padding row of A receives no gradient, and the padding id is never exact; B trains as in `LowRankEmbedding`.

    Args:
        num_embeddings: Vocabulary size V.
        embedding_dim: Width H of the vectors.
        rank: Inner dimension r of the factors.
        exact_rows: Number K of tokens with a residual row.
        padding_idx: Id whose own row receives no gradient, or None; negative counts from the end.
        centered: Whether the factors have a vector that is added to every row.

    Attributes:
        shared: The factors A and B of all tokens.
        exact_ids: Ids of the exact tokens, ascending, int32, shape ``(K,)``.
        residual: What each of them adds to its row of A B, ``K x H``.
    """

    projection_parts = ("shared.projection", "shared.mean")
    exact_ids: torch.Tensor

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        rank: int,
        exact_rows: int,
        padding_idx: int | None = None,
        centered: bool = False,
    ):
        if not 1 <= exact_rows <= num_embeddings:
            raise ValueError(f"exact_rows must be 1 to {num_embeddings}, the number of tokens (found {exact_rows})")
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.rank = rank
        self.exact_rows = exact_rows
        self.centered = centered
        self.shared = LowRankEmbedding(num_embeddings, embedding_dim, rank, padding_idx, centered)
        self.residual = Rows(exact_rows, embedding_dim)
        self.register_buffer("exact_ids", torch.arange(exact_rows, dtype=torch.int32))

    @classmethod
    def from_parts(cls, shared: LowRankEmbedding, exact_ids: torch.Tensor, residual: torch.Tensor) -> HybridEmbedding:
        """A module of the given parts.

        Args:
            shared: Factors of all tokens; they become a part of the module.
            exact_ids: Ids of the exact tokens, ascending, each once, shape ``(K,)``.
            residual: What each of them adds, shape ``(K, H)``, in the dtype and on the device of the factors.

        Raises:
            ValueError: If the ids are not such ids, or include the padding id.
        """
        inside = len(exact_ids) > 0 and int(exact_ids[0]) >= 0 and int(exact_ids[-1]) < shared.num_embeddings
        if not inside or (exact_ids.diff() <= 0).any():
            raise ValueError(f"exact_ids must be ascending ids of the {shared.num_embeddings} tokens, each once")
        if shared.padding_idx is not None and (exact_ids == shared.padding_idx).any():
            raise ValueError(f"the padding id {shared.padding_idx} cannot be exact; leave it out of exact_ids")
        shape = (shared.num_embeddings, shared.embedding_dim, shared.rank, len(exact_ids), shared.padding_idx)
        module = cls(*shape, centered=shared.mean is not None)
        module.shared = shared
        module.residual = Rows.of(residual)
        module.exact_ids = exact_ids.to(residual.device, torch.int32)
        return module

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``."""
        place = torch.searchsorted(self.exact_ids, ids.to(torch.int32)).clamp(max=len(self.exact_ids) - 1)
        exact = (self.exact_ids[place] == ids).unsqueeze(-1)
        return self.shared(ids) + self.residual(place).masked_fill(~exact, 0)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores ``(..., V)`` of hidden states ``(..., H)``: those of the factors, and more for the exact tokens."""
        return self.shared.logits(hidden).index_add(-1, self.exact_ids, hidden @ self.residual.matrix().T)

    def extra_repr(self) -> str:
        """What `print(model)` says about this module, besides its factors."""
        return f"exact_rows={self.residual.count}"
