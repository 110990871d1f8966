"""A few vectors shared by all tokens through hash functions, with weights for each token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from embfact.embeddings.layout import Part
from embfact.factorization.base import Evidence, EvidenceKind, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.hashed import HashedEmbedding


BLOCK_ROWS = 8192
# Conjugate gradients start where the last round ended: a few steps each are enough, and none raises the error.
STEPS = 5
# A column whose squared residual has fallen to this share is solved: further steps would follow its rounding.
SOLVED = 1e-26


class Hashed(Factorization):
    """Row v is q_v1 E[h_1(v)] + ... + q_vk E[h_k(v)]: k of B shared vectors, chosen by hashing the id, and k weights.

    Svenstrup, Hansen and Winther (2017), "Hash Embeddings for Efficient Word Representations". Tokens that collide in
    one bucket rarely collide in another, and a frequent token can own a bucket if rare tokens give it little weight.

    Theirs are learned from random numbers. Ours start from the table: Σ_v p_v |W_v - Σ_i q_vi E[h_i(v)]|² is lowered in
    turns over E, a sparse least-squares problem, and over the k weights of each token, a closed form.
    """

    name: ClassVar[str] = "hashed"
    size_name: ClassVar[str] = "buckets"
    has_projection: ClassVar[bool] = False
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts"})

    hashes: int = Field(default=2, ge=1, description="k, hash functions, and so buckets of a token")
    smoothing: float = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        description="added to the count of every token; far above all counts: every row counts equally",
    )
    rounds: int = Field(default=5, ge=1, description="how often vectors and weights are fitted, in turns")

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """Vectors of the buckets and importance weights: B H + V k parameters; the hash functions take nothing."""
        return Part(rank, hidden_size), Part(vocab_size, self.hashes)

    def rank_limit(self, vocab_size: int, hidden_size: int) -> int:
        """Fewer buckets than tokens, since hashing shares them."""
        return vocab_size - 1

    def _fit(
        self, table: torch.Tensor, rank: int, evidence: Evidence | None, padding_idx: int | None, seed: int
    ) -> HashedEmbedding:
        import torch

        from embfact.embeddings.hashed import HashedEmbedding, hash_functions, hash_ids
        from embfact.factorization.token_counts import checked_counts

        weights = checked_counts(evidence, len(table), self.name) + self.smoothing
        functions = hash_functions(self.hashes, seed)
        places = hash_ids(torch.arange(len(table)), functions, rank)
        fitted = fit_buckets(table, places, weights / weights.sum(), rank, self.rounds)
        vectors, importance = fitted.vectors.to(table), fitted.importance.to(table)
        return HashedEmbedding.from_buckets(vectors, importance, functions, padding_idx)


@dataclass(frozen=True)
class Buckets:
    """The fitted buckets.

    Attributes:
        vectors: E, shape ``(B, H)``, float64.
        importance: q, shape ``(V, k)``, float64.
        errors: Σ_v p_v |W_v - Σ_i q_vi E[h_i(v)]|² after each half of a round.
    """

    vectors: torch.Tensor
    importance: torch.Tensor
    errors: list[float]


def fit_buckets(table: torch.Tensor, places: torch.Tensor, weights: torch.Tensor, buckets: int, rounds: int) -> Buckets:
    """Lower Σ_v p_v |W_v - Σ_i q_vi E[h_i(v)]|² in turns over E and over q; neither step can raise it.

    Every weight q starts at one, so that the shared vectors have the size of rows.

    Args:
        table: W, shape ``(V, H)``, any floating dtype.
        places: h_i(v), shape ``(V, k)``.
        weights: p, above 0, shape ``(V,)``.
        buckets: B.
        rounds: How often each is fitted.
    """
    import torch

    rows = table.detach().to("cpu", torch.float64)
    vectors = rows.new_zeros(buckets, rows.shape[1])
    importance = rows.new_ones(places.shape)
    errors = []
    for _ in range(rounds):
        vectors = _fit_vectors(rows, places, weights, importance, vectors)
        errors.append(_error(rows, places, weights, importance, vectors))
        importance = _fit_importance(rows, places, vectors)
        errors.append(_error(rows, places, weights, importance, vectors))
    return Buckets(vectors, importance, errors)


def _fit_vectors(
    rows: torch.Tensor, places: torch.Tensor, weights: torch.Tensor, importance: torch.Tensor, vectors: torch.Tensor
) -> torch.Tensor:
    """A few steps of conjugate gradients on the normal equations Qᵀ P Q E = Qᵀ P W, all columns at once.

    Hestenes and Stiefel (1952); scaled by the diagonal, since frequent tokens weigh thousands of times the rare ones.
    """
    import torch

    def normal(x: torch.Tensor) -> torch.Tensor:
        return _gather(weights.unsqueeze(1) * _spread(x, places, importance), places, importance, len(vectors))

    wanted = _gather(weights.unsqueeze(1) * rows, places, importance, len(vectors))
    diagonal = _gather(weights.unsqueeze(1), places, importance.square(), len(vectors))
    # No token reaches an empty bucket, so its residual stays zero.
    scaling = torch.where(diagonal > 0, 1 / diagonal, 0)
    least = SOLVED * (scaling * wanted.square()).sum(dim=0)
    residual = wanted - normal(vectors)
    direction = scaling * residual
    size = (residual * direction).sum(dim=0)
    for _ in range(STEPS):
        curved = normal(direction)
        step = torch.where(size > least, size / (direction * curved).sum(dim=0), 0)
        vectors = vectors + step * direction
        residual = residual - step * curved
        scaled = scaling * residual
        before, size = size, (residual * scaled).sum(dim=0)
        direction = scaled + torch.where(before > least, size / before, 0) * direction
    return vectors


def _fit_importance(rows: torch.Tensor, places: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """The best k weights of each token: a least-squares problem of k unknowns, the shortest of several solutions."""
    import torch

    found = []
    for some, place in zip(rows.split(BLOCK_ROWS), places.split(BLOCK_ROWS), strict=True):
        met = vectors[place]
        gram, target = met @ met.transpose(1, 2), met @ some.unsqueeze(2)
        found.append((torch.linalg.pinv(gram, hermitian=True) @ target).squeeze(2))
    return torch.cat(found)


def _error(
    rows: torch.Tensor, places: torch.Tensor, weights: torch.Tensor, importance: torch.Tensor, vectors: torch.Tensor
) -> float:
    return (weights @ (rows - _spread(vectors, places, importance)).square().sum(dim=1)).item()


def _spread(vectors: torch.Tensor, places: torch.Tensor, importance: torch.Tensor) -> torch.Tensor:
    """Q E: what each token gets from the buckets, shape ``(V, H)``."""
    from torch.nn import functional

    return functional.embedding_bag(places, vectors, per_sample_weights=importance, mode="sum")


def _gather(rows: torch.Tensor, places: torch.Tensor, importance: torch.Tensor, buckets: int) -> torch.Tensor:
    """Qᵀ X: what each bucket gets from the tokens, shape ``(B, ...)``."""
    sums = rows.new_zeros(buckets, rows.shape[1])
    for place, weight in zip(places.T, importance.T, strict=True):
        sums.index_add_(0, place, weight.unsqueeze(1) * rows)
    return sums
