"""A table in groups of rows, each the product of its own thin factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.rows import Rows


class GroupedEmbedding(TokenEmbedding):
    """Rows of group g are A_g B_g, with as many numbers per row as the group has rank.

    The numbers of a token are placed in its group's part of one long code, with zeros in the others, and the stacked
    B_g project that: one product whatever the number of groups, and shapes that do not depend on the ids.

    The row of A_g that belongs to the padding id receives no gradient, as in `torch.nn.Embedding`; B_g belongs to all
    tokens of its group and still trains.

    Args:
        embedding_dim: Width H of the vectors.
        sizes: Tokens of each group; their sum is V.
        ranks: Rank of each group.
        padding_idx: Id whose row receives no gradient, or None; negative counts from the end.

    Attributes:
        factors: A_g of each group, shapes ``(V_g, r_g)``.
        projections: B_g of each group, shapes ``(r_g, H)``.
        position: Row of each token in the stacked A_g, int32, shape ``(V,)``.
    """

    projection_parts = ("projections",)
    position: torch.Tensor

    def __init__(self, embedding_dim: int, sizes: Sequence[int], ranks: Sequence[int], padding_idx: int | None = None):
        if len(sizes) != len(ranks) or not sizes or min(*sizes, *ranks) < 1:
            raise ValueError(f"each group needs a size and a rank of 1 or more (found {list(sizes)} and {list(ranks)})")
        super().__init__(sum(sizes), embedding_dim, padding_idx)
        self.sizes, self.ranks = tuple(sizes), tuple(ranks)
        self.factors = nn.ModuleList(Rows(size, rank) for size, rank in zip(sizes, ranks, strict=True))
        self.projections = nn.ModuleList(Rows(rank, embedding_dim) for rank in ranks)
        self.register_buffer("position", torch.arange(self.num_embeddings, dtype=torch.int32))

    @classmethod
    def from_groups(
        cls,
        group: torch.Tensor,
        factors: Sequence[torch.Tensor],
        projections: Sequence[torch.Tensor],
        padding_idx: int | None = None,
    ) -> GroupedEmbedding:
        """A module of the given groups.

        Args:
            group: Group of each token, from 0, shape ``(V,)``.
            factors: A_g of each group, its rows in the order of the ids, shapes ``(V_g, r_g)``.
            projections: B_g of each group, shapes ``(r_g, H)``, in the dtype and on the device of the factors.
            padding_idx: As in `torch.nn.Embedding`.

        Raises:
            ValueError: If the sizes of the groups differ from those of their factors.
        """
        sizes, ranks = [len(rows) for rows in factors], [len(rows) for rows in projections]
        found = torch.bincount(group.cpu(), minlength=len(sizes)).tolist()
        if found != sizes:
            raise ValueError(f"the groups have {found} tokens and their factors {sizes} rows; give one row a token")
        module = cls(projections[0].shape[1], sizes, ranks, padding_idx)
        module.factors = nn.ModuleList(map(Rows.of, factors))
        module.projections = nn.ModuleList(map(Rows.of, projections))
        # The inverse of the permutation that sorts the tokens by group.
        position = group.argsort(stable=True).argsort()
        module.position = position.to(factors[0].device, torch.int32)
        return module

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``."""
        position, codes, start = self.position[ids], [], 0
        for size, factors in zip(self.sizes, self._rows(self.factors), strict=True):
            row = position - start
            outside = (row < 0) | (row >= size)
            codes.append(factors(row.clamp(0, size - 1)).masked_fill(outside.unsqueeze(-1), 0))
            start += size
        code = self._without_padding_gradient(torch.cat(codes, dim=-1), ids)
        return code @ torch.cat([rows.matrix() for rows in self._rows(self.projections)])

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores ``(..., V)`` of hidden states ``(..., H)``: h B_gᵀ A_gᵀ for each group, in the order of the ids."""
        pairs = zip(self._rows(self.factors), self._rows(self.projections), strict=True)
        scores = [(hidden @ projection.matrix().T) @ factors.matrix().T for factors, projection in pairs]
        return torch.cat(scores, dim=-1).index_select(-1, self.position)

    @staticmethod
    def _rows(modules: nn.ModuleList) -> list[Rows]:
        return cast("list[Rows]", list(modules))
