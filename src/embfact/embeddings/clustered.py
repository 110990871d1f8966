"""A table in clusters of rows, each with its own subspace."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.rows import Rows


class ClusteredEmbedding(TokenEmbedding):
    """Row v is A_v B_c, with c the cluster of v: one factor row of rank j per token, and a projection for each cluster.

    The j numbers of a token are placed in its cluster's part of a code of k j, with zeros in the others, and the
    stacked projections map that: one product, whatever the clusters of the ids.

    The padding row of A receives no gradient, as in `torch.nn.Embedding`; the projections belong to all tokens of their
    clusters and still train.

    Args:
        embedding_dim: Width H of the vectors.
        sizes: Tokens of each of the k clusters; their sum is V.
        rank: Rank j of every cluster.
        padding_idx: Id whose row receives no gradient, or None; negative counts from the end.

    Attributes:
        factors: A, ``V x j``.
        projections: B_c of all clusters, stacked, ``k j x H``.
        cluster: Cluster of each token, uint8, shape ``(V,)``.
    """

    projection_parts = ("projections",)
    cluster: torch.Tensor

    def __init__(self, embedding_dim: int, sizes: Sequence[int], rank: int, padding_idx: int | None = None):
        if not 1 <= len(sizes) <= 256 or min(sizes) < 0:
            raise ValueError(f"there must be 1 to 256 clusters of 0 or more tokens (found {list(sizes)})")
        super().__init__(sum(sizes), embedding_dim, padding_idx)
        self.sizes = list(sizes)
        self.rank = rank
        self.factors = Rows(self.num_embeddings, rank, padding_idx)
        self.projections = Rows(len(sizes) * rank, embedding_dim)
        cluster = torch.repeat_interleave(torch.tensor(self.sizes)).to(torch.uint8)
        self.register_buffer("cluster", cluster)

    @classmethod
    def from_clusters(
        cls, cluster: torch.Tensor, factors: torch.Tensor, bases: torch.Tensor, padding_idx: int | None = None
    ) -> ClusteredEmbedding:
        """A module of the given clusters.

        Args:
            cluster: Cluster of each token, from 0, shape ``(V,)``.
            factors: A, shape ``(V, j)``.
            bases: B_c of each cluster, shape ``(k, j, H)``, in the dtype and on the device of the factors.
            padding_idx: As in `torch.nn.Embedding`.
        """
        count, rank, hidden_size = bases.shape
        sizes = torch.bincount(cluster.cpu(), minlength=count).tolist()
        module = cls(hidden_size, sizes, rank, padding_idx)
        module.factors = Rows.of(factors, padding_idx)
        module.projections = Rows.of(bases.flatten(0, 1))
        module.cluster = cluster.to(factors.device, torch.uint8)
        return module

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``."""
        numbers = torch.arange(len(self.sizes), device=ids.device)
        outside = (self.cluster[ids].unsqueeze(-1) != numbers).unsqueeze(-1)
        code = self.factors(ids).unsqueeze(-2).masked_fill(outside, 0)
        return code.flatten(-2) @ self.projections.matrix()

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores ``(..., V)`` of hidden states ``(..., H)``: h B_cᵀ A_cᵀ for each cluster, in the order of the ids."""
        order = self.cluster.argsort(stable=True)
        factors = self.factors.matrix().index_select(0, order).split(self.sizes)
        projections = self.projections.matrix().split(self.rank)
        pairs = zip(factors, projections, strict=True)
        scores = torch.cat([(hidden @ projection.T) @ rows.T for rows, projection in pairs], dim=-1)
        return scores.index_select(-1, order.argsort())
