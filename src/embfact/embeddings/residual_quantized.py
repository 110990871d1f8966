"""A table whose rows are sums of centroids, more of them for some tokens than for others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.layout import sub_vectors
from embfact.embeddings.rows import Rows


class ResidualQuantizedEmbedding(TokenEmbedding):
    """Row v is the mean row plus what n_v stages add, each by one centroid for every part of the columns.

    The codes of a token are n_v rows of `codes`, one after another, in the order of the ids; n_v is a byte, and the
    place of the first row is the sum of the n before it, so a lookup reads only the codes of its tokens.

    The mean and the centroids train, and the codes are fixed. All tokens share them: gradients from padding positions
    are masked, and the padding vector moves with the others.

    Args:
        num_embeddings: Vocabulary size V.
        embedding_dim: Width H of the vectors.
        parts: Parts m of a row, of nearly equal width, the wider ones first.
        stages: Most stages S of a token.
        centroids: Centroids K of a codebook, at most 256.
        code_rows: Stages N of all tokens together.
        shared: Whether the parts of a stage share a codebook (parts of either width, if there are two), or have one
            each.
        padding_idx: Id that sends no gradient, or None; negative counts from the end.

    Attributes:
        mean: The row of a token without stages, ``1 x H``.
        codebooks: Centroids of all stages, stacked, for parts of the same width: one or two tables, shapes
            ``(S g K, width)``, with one codebook for all parts (g = 1) or for each (g their number).
        codes: Centroid of each part, uint8, shape ``(N, m)``.
        lengths: Stages n of each token, uint8, shape ``(V,)``.
    """

    projection_parts = ("mean", "codebooks")
    codes: torch.Tensor
    lengths: torch.Tensor

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        parts: int,
        stages: int,
        centroids: int,
        code_rows: int,
        shared: bool,
        padding_idx: int | None = None,
    ):
        if not 1 <= parts <= embedding_dim:
            raise ValueError(f"parts must be 1 to {embedding_dim}, the columns (found {parts})")
        if not 1 <= stages <= 255:
            raise ValueError(f"stages must be 1 to 255, since their number is a byte (found {stages})")
        if not 1 <= centroids <= 256:
            raise ValueError(f"centroids must be 1 to 256, since a code is a byte (found {centroids})")
        if not 1 <= code_rows <= num_embeddings * stages:
            raise ValueError(f"code_rows must be 1 to {num_embeddings * stages}, V times stages (found {code_rows})")
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.parts, self.stages, self.centroids = parts, stages, centroids
        self.code_rows, self.shared = code_rows, shared
        self.widths = sub_vectors(embedding_dim, parts)
        self.mean = Rows(1, embedding_dim)
        self.codebooks = nn.ModuleList(
            Rows(stages * (1 if shared else count) * centroids, width) for count, width in self.widths
        )
        self.register_buffer("codes", torch.zeros(code_rows, parts, dtype=torch.uint8))
        least, more = divmod(code_rows, num_embeddings)
        self.register_buffer("lengths", (least + (torch.arange(num_embeddings) < more)).to(torch.uint8))

    @classmethod
    def from_codebooks(
        cls,
        lengths: torch.Tensor,
        codes: torch.Tensor,
        codebooks: Sequence[torch.Tensor],
        mean: torch.Tensor,
        padding_idx: int | None = None,
    ) -> ResidualQuantizedEmbedding:
        """A module of the given codebooks.

        Args:
            lengths: Stages of each token, shape ``(V,)``; their sum is N.
            codes: Centroid of each part, for the stages of the first token, then of the second, shape ``(N, m)``.
            codebooks: Centroids of the parts of each width, as wide as `sub_vectors` says, shapes
                ``(S, g, K, width)``: g is 1 if parts share them, or the number of parts of this width.
            mean: The row of a token without stages, shape ``(H,)``, in the dtype and on the device of the codebooks.
            padding_idx: As in `torch.nn.Embedding`.

        Raises:
            ValueError: If the number of codes is not that of the stages.
        """
        if int(lengths.sum()) != len(codes):
            raise ValueError(f"the tokens have {int(lengths.sum())} stages and {len(codes)} rows of codes; give each")
        stages, _, centroids, _ = codebooks[0].shape
        parts, hidden_size = codes.shape[1], len(mean)
        widths = sub_vectors(hidden_size, parts)
        shared = any(books.shape[1] != count for books, (count, _) in zip(codebooks, widths, strict=True))
        module = cls(len(lengths), hidden_size, parts, stages, centroids, len(codes), shared, padding_idx)
        module.mean = Rows.of(mean.unsqueeze(0))
        module.codebooks = nn.ModuleList(Rows.of(books.flatten(0, 2)) for books in codebooks)
        module.codes = codes.to(mean.device, torch.uint8)
        module.lengths = lengths.to(mean.device, torch.uint8)
        return module

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``."""
        lengths, first = self.lengths[ids], self._first()[ids]
        books = [rows.matrix() for rows in self._rows()]
        vectors = self.mean.matrix().squeeze(0).expand(*ids.shape, -1)
        for stage in range(self.stages):
            codes = self.codes[(first + stage).clamp(max=self.code_rows - 1)]
            places = self._places(codes, torch.full_like(first, stage), self.shared)
            pairs = zip(places, books, strict=True)
            found = torch.cat([functional.embedding(place, book).flatten(-2) for place, book in pairs], dim=-1)
            vectors = vectors + found.masked_fill((lengths <= stage).unsqueeze(-1), 0)
        return self._without_padding_gradient(vectors, ids)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores ``(..., V)`` of hidden states ``(..., H)``: those of all centroids, added up by the codes."""
        flat = hidden.reshape(-1, self.embedding_dim)
        first = self._first()
        stage = torch.arange(self.code_rows, device=first.device)
        stage = stage - first.repeat_interleave(self.lengths.long(), output_size=self.code_rows)
        states = flat.split([count * width for count, width in self.widths], dim=-1)
        scores = (self.mean.matrix() @ flat.T).expand(self.num_embeddings, -1)
        kinds = zip(states, self._places(self.codes, stage, shared=False), self._rows(), self.widths, strict=True)
        for state, places, rows, (count, width) in kinds:
            books = rows.matrix().view(self.stages, -1, self.centroids, width).expand(-1, count, -1, -1)
            known = torch.einsum("spkw,bpw->spkb", books, state.view(-1, count, width))
            scores = scores + functional.embedding_bag(places.flatten(), known.flatten(0, 2), first * count, mode="sum")
        return scores.T.reshape(*hidden.shape[:-1], self.num_embeddings)

    def _first(self) -> torch.Tensor:
        """Row of `codes` at which those of each token begin, shape ``(V,)``."""
        return self.lengths.cumsum(0) - self.lengths

    def _places(self, codes: torch.Tensor, stage: torch.Tensor, shared: bool) -> list[torch.Tensor]:
        """Rows of the stacked codebooks for codes ``(..., m)`` of stages ``(...)``, shapes ``(..., parts)``."""
        counts = [count for count, _ in self.widths]
        found = []
        for part, count in zip(codes.split(counts, dim=-1), counts, strict=True):
            book = stage.unsqueeze(-1)
            if not shared:
                book = book * count + torch.arange(count, device=codes.device)
            found.append(book * self.centroids + part)
        return found

    def _rows(self) -> list[Rows]:
        return cast("list[Rows]", list(self.codebooks))
