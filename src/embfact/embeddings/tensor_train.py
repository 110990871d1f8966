"""A table stored as a tensor train: a chain of small cores in place of one large matrix."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

import torch
from torch import nn

from embfact.embeddings.base import BLOCK_TOKENS, TokenEmbedding
from embfact.embeddings.rows import Rows


class TensorTrainEmbedding(TokenEmbedding):
    """The table W (V x H) as a train of d cores G_k, of shape ``(r_k-1, v_k, h_k, r_k)`` with r_0 = r_d = 1.

    Oseledets (2011), "Tensor-Train Decomposition"; for embeddings: Hrinchuk et al. (2020), "Tensorized Embedding
    Layers". V is at most v_1 v_2 ... v_d, and H = h_1 h_2 ... h_d. An id has digits (i_1, ..., i_d) in the bases v_k,
    most significant first, a column likewise digits (j_1, ..., j_d), and the entry is the matrix product G_1[i_1, j_1]
    G_2[i_2, j_2] ... G_d[i_d, j_d]. Two cores are a sum of r Kronecker products.

    All tokens share the cores, so no row belongs to the padding id alone: gradients from its positions are masked, and
    its vector moves with the cores.

    Args:
        num_embeddings: Vocabulary size V.
        row_factors: v_k of each core.
        column_factors: h_k of each core.
        ranks: r_k between neighbouring cores, d - 1 numbers.
        padding_idx: Id that sends no gradient, or None; negative counts from the end.

    Attributes:
        cores: The cores; row i of core k is G_k[i], shape ``(v_k, r_k-1 h_k r_k)``.
    """

    def __init__(
        self,
        num_embeddings: int,
        row_factors: Sequence[int],
        column_factors: Sequence[int],
        ranks: Sequence[int],
        padding_idx: int | None = None,
    ):
        if not len(row_factors) == len(column_factors) == len(ranks) + 1 or prod(row_factors) < num_embeddings:
            found = f"found {list(row_factors)}, {list(column_factors)} and {list(ranks)} for {num_embeddings} tokens"
            raise ValueError(f"each core needs a row and a column factor, and a rank to the next core ({found})")
        super().__init__(num_embeddings, prod(column_factors), padding_idx)
        self.row_factors, self.column_factors, self.ranks = tuple(row_factors), tuple(column_factors), tuple(ranks)
        shapes = zip(row_factors, [1, *ranks], column_factors, [*ranks, 1], strict=True)
        self.cores = nn.ModuleList(Rows(rows, left * columns * right) for rows, left, columns, right in shapes)

    @classmethod
    def from_cores(
        cls, cores: Sequence[torch.Tensor], num_embeddings: int, padding_idx: int | None = None
    ) -> TensorTrainEmbedding:
        """A module of the given G_k, shapes ``(r_k-1, v_k, h_k, r_k)``, in their dtype and on their device."""
        _, rows, columns, right = zip(*(core.shape for core in cores), strict=True)
        module = cls(num_embeddings, rows, columns, right[:-1], padding_idx)
        module.cores = nn.ModuleList(Rows.of(core.transpose(0, 1).flatten(1)) for core in cores)
        return module

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``."""
        vectors = self._vectors(ids.flatten()).view(*ids.shape, self.embedding_dim)
        return self._without_padding_gradient(vectors, ids)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores ``(..., V)`` of hidden states ``(..., H)``.

        Two cores with r h_1 < H contract the hidden states core by core, which costs V h_1 r per state. Otherwise that
        costs more than a product with the table, and the table is built a block of tokens at a time.
        """
        if len(self.cores) == 2 and self.ranks[0] * self.column_factors[0] < self.embedding_dim:
            first, second = (rows.matrix() for rows in self._cores())
            states = hidden.unflatten(-1, self.column_factors)
            inner = torch.einsum("...ab,jrb->...arj", states, second.unflatten(-1, (self.ranks[0], -1)))
            scores = (first @ inner.flatten(-3, -2)).flatten(-2)
        else:
            prefixes, last = self._prefixes(len(self.cores) - 1), self._cores()[-1].matrix()
            blocks = prefixes.split(max(1, BLOCK_TOKENS // self.row_factors[-1]))
            scores = torch.cat([hidden @ _extend(block, last, 1).squeeze(-1).T for block in blocks], dim=-1)
        return scores[..., : self.num_embeddings]

    def _vectors(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(N, H)`` of ids ``(N,)``.

        Cores are multiplied for all prefixes of ids as long as there are no more of those than ids, then for each id.
        """
        depth = sum(prod(self.row_factors[: k + 1]) <= len(ids) for k in range(len(self.cores)))
        suffixes = prod(self.row_factors[depth:])
        vectors = self._prefixes(depth).index_select(0, ids // suffixes)
        for k in range(depth, len(self.cores)):
            ids, suffixes = ids % suffixes, suffixes // self.row_factors[k]
            rows = self._cores()[k](ids // suffixes).unflatten(-1, (vectors.shape[-1], -1))
            vectors = _split_rank(vectors @ rows, [*self.ranks, 1][k])
        return vectors.squeeze(-1)

    def _prefixes(self, depth: int) -> torch.Tensor:
        """Products of the first cores for all values of their digits, shape ``(v_1..v_k, h_1..h_k, r_k)``."""
        first = self._cores()[0]
        products = torch.ones(1, 1, 1, dtype=first.dtype, device=first.device)
        for rows, rank in zip(self._cores()[:depth], [*self.ranks, 1], strict=False):
            products = _extend(products, rows.matrix(), rank)
        return products

    def _cores(self) -> list[Rows]:
        return cast("list[Rows]", list(self.cores))


def _extend(products: torch.Tensor, rows: torch.Tensor, rank: int) -> torch.Tensor:
    """Products ``(P, h', r')`` times the rows ``(v, r' h r)`` of a core, each with each: ``(P v, h' h, r)``."""
    longer = torch.einsum("plr,vrm->pvlm", products, rows.unflatten(-1, (products.shape[-1], -1)))
    return _split_rank(longer.flatten(0, 1), rank)


def _split_rank(products: torch.Tensor, rank: int) -> torch.Tensor:
    """From ``(P, h', h r)`` to ``(P, h' h, r)``."""
    return products.unflatten(-1, (-1, rank)).flatten(1, 2)
