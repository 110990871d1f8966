"""Rows as short lists of codes; each code is the number of a centroid for one part of the columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from embfact.embeddings.layout import Part, sub_vectors
from embfact.factorization.base import Evidence, EvidenceKind, Factorization

if TYPE_CHECKING:
    import numpy as np
    import torch

    from embfact.embeddings.product_quantized import ProductQuantizedEmbedding


# k-means++ chooses among this many rows per centroid, drawn by weight: as good as all rows, in a fraction of the time.
CANDIDATES = 32
BLOCK_ROWS = 2048


class ProductQuantization(Factorization):
    """A row is cut into m sub-vectors, and each is replaced by the nearest of K centroids: m bytes per token.

    Jégou, Douze and Schmid (2011), "Product Quantization for Nearest Neighbor Search"; for embeddings: Chen, Li and Sun
    (2020), "Differentiable Product Quantization for End-to-End Embedding Compression". The centroids of each part come
    from k-means over all tokens, weighted by their counts.

    Training moves the centroids and leaves the codes alone, or learns both with a straight-through estimator: then a
    dense table accompanies the codes during training and is dropped when the model is saved.
    """

    name: ClassVar[str] = "product_quantization"
    size_name: ClassVar[str] = "codes per token"
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts"})

    centroids: int = Field(default=256, ge=2, le=256, description="K, centroids of each part; a code takes a byte")
    smoothing: float = Field(
        default=10.0,
        gt=0,
        allow_inf_nan=False,
        description="added to the count of every token; far above all counts: plain k-means, all rows equal",
    )
    iterations: int = Field(default=10, ge=1, description="of k-means, for each part; fewer if nothing moves")
    fine_tuning: Literal["centroids", "straight_through"] = Field(
        default="centroids",
        description="centroids: codes stay fixed; straight_through: a dense table is trained too and chooses new codes",
    )

    def caveat(self, fine_tuned: bool) -> str | None:
        """DPQ learns the codes too."""
        if self.fine_tuning == "straight_through":
            return None
        return (
            "codes are fixed by k-means before training, where DPQ (Chen et al., 2020) learns them: "
            "factorization.fine_tuning=straight_through"
        )

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """Codebooks of min(K, V) H parameters, however many codes a token has, and V m bytes of codes."""
        centroids = min(self.centroids, vocab_size)
        codebooks = [Part(count * centroids, width) for count, width in sub_vectors(hidden_size, max(1, rank))]
        return *codebooks, Part(vocab_size, rank, "index", item_bytes=1)

    def _fit(
        self, table: torch.Tensor, rank: int, evidence: Evidence | None, padding_idx: int | None, seed: int
    ) -> ProductQuantizedEmbedding:
        from embfact.embeddings.product_quantized import ProductQuantizedEmbedding
        from embfact.factorization.token_counts import checked_counts

        weights = checked_counts(evidence, len(table), self.name) + self.smoothing
        widths = [width for count, width in sub_vectors(table.shape[1], rank) for _ in range(count)]
        centroids = min(self.centroids, len(table))
        codes, codebooks = fit_codebooks(table, weights, widths, centroids, self.iterations, seed)
        latents = table if self.fine_tuning == "straight_through" else None
        return ProductQuantizedEmbedding.from_codebooks(codes, codebooks, padding_idx, latents)


def fit_codebooks(
    table: torch.Tensor, weights: torch.Tensor, widths: Sequence[int], centroids: int, iterations: int, seed: int
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Centroids of each part and the codes of all rows.

    Args:
        table: W, shape ``(V, H)``, any floating dtype.
        weights: Weight of each row, above 0, shape ``(V,)``.
        widths: Columns of each part; their sum is H.
        centroids: K, at most V.
        iterations: Largest number of steps of Lloyd's algorithm.
        seed: Decides the rows that k-means starts from (k-means++, Arthur and Vassilvitskii, 2007).

    Returns:
        Codes, uint8 ``(V, m)``, the numbers of the nearest centroids as these are stored, and the codebooks, shapes
        ``(K, width)``, in the table's dtype; all on its device.
    """
    import numpy as np
    import torch
    from threadpoolctl import threadpool_limits

    from embfact.embeddings.product_quantized import nearest

    # Within the range of float32, in which k-means works for most tables.
    weights = (weights / weights.max()).clamp(min=1e-12)
    parts, draw = table.detach().cpu().split(list(widths), dim=1), np.random.default_rng(seed)
    shares = (weights / weights.sum()).numpy()
    candidates = draw.choice(len(table), min(CANDIDATES * centroids, len(table)), replace=False, p=shares)
    seeds = draw.integers(2**31, size=len(widths)).tolist()
    # One thread: several would add up sums in the order in which they finish, which changes the last bits.
    with threadpool_limits(limits=1, user_api="openmp"):
        codebooks = [
            weighted_k_means(part, weights.numpy(), candidates, centroids, iterations, state)
            for part, state in zip(parts, seeds, strict=True)
        ]
    # So few rows at a time that the distances stay in the processor's cache.
    codes = [
        torch.cat([nearest(rows.double(), codebook.double()) for rows in part.split(BLOCK_ROWS)])
        for part, codebook in zip(parts, codebooks, strict=True)
    ]
    return torch.stack(codes, dim=1).to(table.device), [codebook.to(table.device) for codebook in codebooks]


def weighted_k_means(
    part: torch.Tensor, weights: np.ndarray, candidates: np.ndarray, count: int, iterations: int, seed: int
) -> torch.Tensor:
    """Weighted k-means of a part of the columns, from rows that k-means++ chooses among the candidates.

    Args:
        part: Rows, shape ``(V, width)``, any floating dtype.
        weights: Weight of each row, above 0, shape ``(V,)``.
        candidates: Numbers of rows.
        count: K, at most the number of candidates.
        iterations: Largest number of steps of Lloyd's algorithm.
        seed: Of k-means++.

    Returns:
        Centroids, shape ``(K, width)``, in the dtype of the rows: all distinct rows, repeated, if there are no more.
    """
    import numpy as np
    import torch
    from sklearn.cluster import KMeans, kmeans_plusplus

    rows = (part.float() if part.dtype in (torch.float16, torch.bfloat16) else part).numpy()
    # One column first: that is fast, and for nearly every table it shows that there are more distinct rows.
    if len(np.unique(rows[:, 0])) <= count and len(distinct := np.unique(rows, axis=0)) <= count:
        return torch.from_numpy(np.resize(distinct, (count, rows.shape[1]))).to(part.dtype)
    start, _ = kmeans_plusplus(rows[candidates], count, sample_weight=weights[candidates], random_state=seed)
    kmeans = KMeans(count, init=start, n_init=1, max_iter=iterations, tol=0)
    return torch.from_numpy(kmeans.fit(rows, sample_weight=weights).cluster_centers_).to(part.dtype)
