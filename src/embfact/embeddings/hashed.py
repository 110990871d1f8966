"""A table of few shared vectors, assigned by hash functions, with weights for each token."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import torch
from torch.nn import functional

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.rows import Rows

PRIME = 2**31 - 1


class HashedEmbedding(TokenEmbedding):
    """Row v is the sum of k of B shared vectors, chosen by hashing v, times k weights of its own.

    Hashes are computed when needed, so the weights are the only data that grow with the vocabulary. Those of the
    padding id receive no gradient; the shared vectors belong to all tokens and still train.

    Args:
        num_embeddings: Vocabulary size V, below 2^31.
        embedding_dim: Width H of the vectors.
        buckets: Number B of shared vectors.
        functions: (a, b) of each hash function ((a v + b) mod (2^31 - 1)) mod B.
        padding_idx: Id whose weights receive no gradient, or None; negative counts from the end.

    Attributes:
        vectors: The shared vectors, ``B x H``.
        importance: Weights of each token, ``V x k``.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        buckets: int,
        functions: Sequence[Sequence[int]],
        padding_idx: int | None = None,
    ):
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.buckets = buckets
        self.functions = [[a, b] for a, b in functions]
        self.vectors = Rows(buckets, embedding_dim)
        self.importance = Rows(num_embeddings, len(self.functions), padding_idx)

    @classmethod
    def from_buckets(
        cls,
        vectors: torch.Tensor,
        importance: torch.Tensor,
        functions: Sequence[Sequence[int]],
        padding_idx: int | None = None,
    ) -> HashedEmbedding:
        """A module with the given shared vectors, shape ``(B, H)``, weights, shape ``(V, k)``, and hash functions."""
        module = cls(len(importance), vectors.shape[1], len(vectors), functions, padding_idx)
        module.vectors, module.importance = Rows.of(vectors), Rows.of(importance, padding_idx)
        return module

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``."""
        places = hash_ids(ids, self.functions, self.vectors.count)
        return (self.importance(ids).unsqueeze(-2) @ self.vectors(places)).squeeze(-2)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores ``(..., V)`` of hidden states ``(..., H)``: those of all buckets, added up for each token."""
        known = self.vectors.matrix() @ hidden.reshape(-1, self.embedding_dim).T
        places = hash_ids(torch.arange(self.num_embeddings, device=known.device), self.functions, len(known))
        importance = self.importance.matrix()
        scores = functional.embedding_bag(places, known, per_sample_weights=importance, mode="sum")
        return scores.T.reshape(*hidden.shape[:-1], self.num_embeddings)


def hash_ids(ids: torch.Tensor, functions: Sequence[Sequence[int]], buckets: int) -> torch.Tensor:
    """Buckets ``(..., k)`` of ids ``(...)``: ((a v + b) mod p) mod B for each function (a, b)."""
    wide = ids.long()  # a v + b is below 2^62
    return torch.stack([(wide * a + b) % PRIME % buckets for a, b in functions], dim=-1)


def hash_functions(count: int, seed: int) -> list[tuple[int, int]]:
    """Pairs (a, b) of ``count`` functions ((a x + b) mod p) mod B with p = 2^31 - 1.

    Drawn from a universal family: two tokens collide with a probability of about 1 / B (Carter and Wegman, 1979).
    """
    draw = Random(seed)
    return [(draw.randrange(1, PRIME), draw.randrange(PRIME)) for _ in range(count)]
