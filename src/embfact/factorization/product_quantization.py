"""Rows as short lists of codes, each the number of a centroid for one part of the columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from embfact.embeddings.layout import Part, sub_vectors
from embfact.factorization.base import Evidence, EvidenceKind, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.product_quantized import ProductQuantizedEmbedding


class ProductQuantization(Factorization):
    """A row is cut into m sub-vectors, and each is replaced by the nearest of K centroids: m bytes a token.

    Jégou, Douze and Schmid (2011), "Product Quantization for Nearest Neighbor Search"; for embeddings: Chen, Li and Sun
    (2020), "Differentiable Product Quantization for End-to-End Embedding Compression". The centroids of each part come
    from k-means over all tokens, weighted by their counts.

    Training moves the centroids and leaves the codes alone, or learns both with a straight-through estimator: a dense
    table stays beside the codes while the model trains, and goes when it is saved.
    """

    name: ClassVar[str] = "product_quantization"
    size_name: ClassVar[str] = "codes per token"
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts"})

    centroids: int = Field(default=256, ge=2, le=256, description="K, centroids of each part; a code takes a byte")
    smoothing: float = Field(
        default=10.0,
        gt=0,
        allow_inf_nan=False,
        description="added to the count of every token; far above all counts: plain k-means, every row alike",
    )
    iterations: int = Field(default=10, ge=1, description="of k-means, for each part; it ends before if nothing moves")
    fine_tuning: Literal["centroids", "straight_through"] = Field(
        default="centroids",
        description="centroids: codes stay; straight_through: a dense table trains beside them and chooses new codes",
    )

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """Codebooks of min(K, V) H parameters, however many codes a token has, and V m bytes of codes."""
        centroids = min(self.centroids, vocab_size)
        codebooks = [Part(count * centroids, width) for count, width in sub_vectors(hidden_size, max(1, rank))]
        return *codebooks, Part(vocab_size, rank, "index", item_bytes=1)

    def fit(
        self,
        table: torch.Tensor,
        rank: int | None,
        *,
        evidence: Evidence | None = None,
        padding_idx: int | None = None,
        seed: int = 0,
    ) -> ProductQuantizedEmbedding:
        """Codebooks by k-means and the nearest centroids of each row; see `Factorization.fit`."""
        from embfact.embeddings.product_quantized import ProductQuantizedEmbedding
        from embfact.factorization.codebooks import fit_codebooks
        from embfact.factorization.decomposition import check_table
        from embfact.factorization.token_counts import checked_counts

        vocab_size, hidden_size = check_table(table)
        self.check_size(vocab_size, hidden_size, rank, allow_larger=True)
        weights = checked_counts(evidence, vocab_size, self.name) + self.smoothing
        widths = [width for count, width in sub_vectors(hidden_size, rank or 1) for _ in range(count)]
        centroids = min(self.centroids, vocab_size)
        codes, codebooks = fit_codebooks(table, weights, widths, centroids, self.iterations, seed)
        latents = table if self.fine_tuning == "straight_through" else None
        return ProductQuantizedEmbedding.from_codebooks(codes, codebooks, padding_idx, latents)
