"""Several subspaces, each token in the one that is nearest to its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from embfact.embeddings.layout import Part
from embfact.factorization.base import Evidence, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.clustered import ClusteredEmbedding


class ProjectiveClustering(Factorization):
    """min Σ_v min_c |W_v - its projection on S_c|² over k subspaces S_c of dimension j, an SVD for each cluster.

    MESSI (Maalouf, Lang, Rus and Feldman, ICLR 2021, "Deep Learning meets Projective Clustering"). As there, rows go to
    their nearest subspace and subspaces are fitted to their rows, in turns, from several starts, of which the best is
    kept. Where they draw the first subspaces at random, ours are spanned by neighbouring rows, one after another where
    those before leave the largest errors, as k-means++ chooses its centers (Arthur and Vassilvitskii, 2007).
    """

    name: ClassVar[str] = "projective_clustering"

    subspaces: int = Field(default=5, ge=1, le=256, description="k, how many; more fit closer, and each costs j H")
    starts: int = Field(default=3, ge=1, description="how often it starts anew; the best result is kept")
    rounds: int = Field(default=10, ge=1, description="how often rows change their subspace at most, in each start")

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """Factors, projections and a byte for each token's subspace: j (V + k H) parameters."""
        return (
            Part(vocab_size, rank),
            Part(self.subspaces * rank, hidden_size),
            Part(vocab_size, 1, "index", item_bytes=1),
        )

    def _check_options(self, vocab_size: int, hidden_size: int) -> None:
        if self.subspaces > vocab_size:
            raise ValueError(
                f"subspaces must be at most the {vocab_size} tokens of the table (found {self.subspaces}); use fewer"
            )

    def fit(
        self,
        table: torch.Tensor,
        rank: int | None,
        *,
        evidence: Evidence | None = None,
        padding_idx: int | None = None,
        seed: int = 0,
    ) -> ClusteredEmbedding:
        """Clusters of rows and a subspace of r dimensions for each; see `Factorization.fit`."""
        from embfact.embeddings.clustered import ClusteredEmbedding
        from embfact.factorization.decomposition import check_table
        from embfact.factorization.subspaces import cluster_rows

        vocab_size, hidden_size = check_table(table)
        self.check_size(vocab_size, hidden_size, rank, allow_larger=True)
        found = cluster_rows(table, self.subspaces, rank or 1, self.starts, self.rounds, seed)
        return ClusteredEmbedding.from_clusters(
            found.cluster.to(table.device), found.project(table), found.bases.to(table), padding_idx
        )
