"""A table whose rows are short lists of codes into small codebooks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from embfact.embeddings.base import BLOCK_TOKENS, TokenEmbedding
from embfact.embeddings.layout import Storage, sub_vectors
from embfact.embeddings.rows import Rows


class ProductQuantizedEmbedding(TokenEmbedding):
    """Rows of m sub-vectors, each one of the K centroids of its part of the columns.

    The centroids train and the codes are fixed, unless there are latents (differentiable product quantization, Chen, Li
    and Sun, 2020): then in training mode a dense row is looked up and replaced by the currently nearest centroids, and
    its gradient goes to these and, straight through, to the dense row. Latents are not saved: codes are taken from them
    whenever training mode ends or a state dict is requested, and loading weights drops them.

    All tokens share the centroids: gradients from padding positions are masked, and the padding vector moves with the
    others.

    Args:
        num_embeddings: Vocabulary size V.
        embedding_dim: Width H of the vectors.
        codes_per_token: Parts m of a row, of nearly equal width, the wider ones first.
        centroids: Centroids K of each part, at most 256.
        padding_idx: Id that sends no gradient, or None; negative counts from the end.

    Attributes:
        codebooks: Centroids of all parts of the same width, stacked: one or two tables, shapes ``(parts K, width)``.
        codes: Centroid of each part of each token, uint8, shape ``(V, m)``.
        latents: The dense rows that training quantizes, shape ``(V, H)``, or None.
    """

    projection_parts = ("codebooks",)
    codes: torch.Tensor
    latents: nn.Parameter | None

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        codes_per_token: int,
        centroids: int,
        padding_idx: int | None = None,
    ):
        if not 1 <= codes_per_token <= embedding_dim:
            raise ValueError(f"codes_per_token must be 1 to {embedding_dim}, the columns (found {codes_per_token})")
        if not 1 <= centroids <= 256:
            raise ValueError(f"centroids must be 1 to 256, since a code is a byte (found {centroids})")
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.codes_per_token = codes_per_token
        self.centroids = centroids
        self.parts = sub_vectors(embedding_dim, codes_per_token)
        self.codebooks = nn.ModuleList(Rows(count * centroids, width) for count, width in self.parts)
        self.register_buffer("codes", torch.zeros(num_embeddings, codes_per_token, dtype=torch.uint8))
        self.register_parameter("latents", None)

    @classmethod
    def from_codebooks(
        cls,
        codes: torch.Tensor,
        codebooks: Sequence[torch.Tensor],
        padding_idx: int | None = None,
        latents: torch.Tensor | None = None,
    ) -> ProductQuantizedEmbedding:
        """A module of the given codebooks.

        Args:
            codes: Centroid of each part of each token, shape ``(V, m)``.
            codebooks: Centroids of each part, shapes ``(K, width)``, as wide as `sub_vectors` says, in one dtype.
            padding_idx: As in `torch.nn.Embedding`.
            latents: Dense rows to train with a straight-through estimator, shape ``(V, H)``; they are copied.
        """
        vocab_size, count = codes.shape
        width = sum(codebook.shape[1] for codebook in codebooks)
        module = cls(vocab_size, width, count, len(codebooks[0]), padding_idx)
        rest = iter(codebooks)
        stacks = [torch.cat(list(islice(rest, parts))) for parts, _ in module.parts]
        module.codebooks = nn.ModuleList(map(Rows.of, stacks))
        module.codes = codes.to(codebooks[0].device, torch.uint8)
        if latents is not None:
            module.latents = nn.Parameter(latents.detach().clone())
        return module

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``."""
        if self.latents is not None and self.training:
            dense = functional.embedding(ids, self.latents)
            vectors = self._decode(self._encode(dense)) + (dense - dense.detach())
        else:
            vectors = self._decode(self.codes[ids])
        return self._without_padding_gradient(vectors, ids)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores ``(..., V)`` of hidden states ``(..., H)``: those of all centroids, added up by the codes of a token.

        Training with latents finds the nearest centroids of all tokens again.
        """
        if self.latents is not None and self.training:
            return super().logits(hidden)
        states = hidden.reshape(-1, self.embedding_dim).split([count * width for count, width in self.parts], dim=-1)
        scores = hidden.new_zeros(self.num_embeddings, states[0].shape[0])
        places = self._places(self.codes)
        for state, place, rows, (count, width) in zip(states, places, self._rows(), self.parts, strict=True):
            codebook = rows.matrix().view(count, self.centroids, width)
            known = codebook @ state.view(-1, count, width).permute(1, 2, 0)
            scores = scores + functional.embedding_bag(place, known.flatten(0, 1), mode="sum")
        return scores.T.reshape(*hidden.shape[:-1], self.num_embeddings)

    def store_tables(self, storage: Storage) -> None:
        """Store the codebooks in another way from now on, and end training; see `Rows.store`."""
        self._update_codes()
        super().store_tables(storage)
        self.latents = None

    def train(self, mode: bool = True) -> ProductQuantizedEmbedding:
        """Set training or evaluation mode; the latter takes the codes from the latents, if there are any."""
        if not mode:
            self._update_codes()
        return super().train(mode)

    @torch.no_grad()
    def _update_codes(self) -> None:
        if self.latents is not None:
            self.codes.copy_(torch.cat([self._encode(rows) for rows in self.latents.split(BLOCK_TOKENS)]))

    @torch.no_grad()
    def _encode(self, vectors: torch.Tensor) -> torch.Tensor:
        """Codes ``(..., m)`` of the nearest centroids to vectors ``(..., H)``."""
        codebooks = [part for rows in self._rows() for part in rows.matrix().split(self.centroids)]
        parts = vectors.split([part.shape[1] for part in codebooks], dim=-1)
        return torch.stack([nearest(*pair) for pair in zip(parts, codebooks, strict=True)], dim=-1)

    def _decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of codes ``(..., m)``."""
        pairs = zip(self._rows(), self._places(codes), strict=True)
        return torch.cat([rows(places).flatten(-2) for rows, places in pairs], dim=-1)

    def _places(self, codes: torch.Tensor) -> list[torch.Tensor]:
        """Rows of the stacked codebooks for codes ``(..., m)``, shapes ``(..., parts)``."""
        return [
            part.int() + self.centroids * torch.arange(part.shape[-1], dtype=torch.int32, device=codes.device)
            for part in codes.split([count for count, _ in self.parts], dim=-1)
        ]

    def _rows(self) -> list[Rows]:
        return cast("list[Rows]", list(self.codebooks))

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        self._update_codes()
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination.pop(f"{prefix}latents", None)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.latents = None  # the old ones would choose other codes
        super()._load_from_state_dict(*args, **kwargs)


def nearest(points: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    """The index of the centroid ``(K, w)`` nearest to points ``(..., w)``, the first of equals: uint8 ``(...)``."""
    exact = points if points.dtype == torch.float64 else points.float()
    known = centroids.to(exact)
    # |x - c|² without |x|², which is the same for all.
    return functional.linear(exact, -2 * known, known.square().sum(dim=1)).argmin(dim=-1).to(torch.uint8)
