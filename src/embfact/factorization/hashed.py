"""A few vectors shared by all tokens through hash functions, weighted for each token."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from embfact.embeddings.layout import Part
from embfact.factorization.base import Evidence, EvidenceKind, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.hashed import HashedEmbedding


class Hashed(Factorization):
    """Row v is q_v1 E[h_1(v)] + ... + q_vk E[h_k(v)]: k of B shared vectors, chosen by hashing the id, and k weights.

    Svenstrup, Hansen and Winther (2017), "Hash Embeddings for Efficient Word Representations". Tokens that meet in one
    bucket rarely meet in another, and a frequent token can own a bucket where the rare ones weigh it little.

    Theirs are learned from random numbers. Here they start from the table: Σ_v p_v |W_v - Σ_i q_vi E[h_i(v)]|² is
    lowered in turns over E, a sparse least-squares problem, and over the k weights of each token, a closed form.
    """

    name: ClassVar[str] = "hashed"
    size_name: ClassVar[str] = "buckets"
    has_projection: ClassVar[bool] = False
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts"})

    hashes: int = Field(default=2, ge=1, description="k, buckets of a token and hash functions")
    smoothing: float = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        description="added to the count of every token; far above all counts: every row alike",
    )
    rounds: int = Field(default=5, ge=1, description="how often vectors and weights are fitted, in turn")

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """Vectors of the buckets and importance weights: B H + V k parameters; the hash functions take nothing."""
        return Part(rank, hidden_size), Part(vocab_size, self.hashes)

    def rank_limit(self, vocab_size: int, hidden_size: int) -> int:
        """Fewer buckets than tokens: what is hashed shares them."""
        return vocab_size - 1

    def fit(
        self,
        table: torch.Tensor,
        rank: int | None,
        *,
        evidence: Evidence | None = None,
        padding_idx: int | None = None,
        seed: int = 0,
    ) -> HashedEmbedding:
        """Shared vectors and weights that are near the table; see `Factorization.fit`."""
        import torch

        from embfact.embeddings.hashed import HashedEmbedding, hash_functions, hash_ids
        from embfact.factorization.bucket_fitting import fit_buckets
        from embfact.factorization.decomposition import check_table
        from embfact.factorization.token_counts import checked_counts

        vocab_size, hidden_size = check_table(table)
        self.check_size(vocab_size, hidden_size, rank, allow_larger=True)
        weights = checked_counts(evidence, vocab_size, self.name) + self.smoothing
        functions = hash_functions(self.hashes, seed)
        places = hash_ids(torch.arange(vocab_size), functions, rank or 1)
        fitted = fit_buckets(table, places, weights / weights.sum(), rank or 1, self.rounds)
        vectors, importance = fitted.vectors.to(table), fitted.importance.to(table)
        return HashedEmbedding.from_buckets(vectors, importance, functions, padding_idx)
