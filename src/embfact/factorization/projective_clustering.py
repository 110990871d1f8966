"""Several subspaces, each token in the one nearest to its row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from embfact.embeddings.layout import Part
from embfact.factorization.base import Evidence, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.clustered import ClusteredEmbedding


# Rows whose error is below this share of the table's squared norm are fitted: the rest is rounding.
LEAST_ERROR = 1e-12


class ProjectiveClustering(Factorization):
    """min Σ_v min_c |W_v - its projection on S_c|² over k subspaces S_c of dimension j, an SVD for each cluster.

    MESSI (Maalouf, Lang, Rus and Feldman, ICLR 2021, "Deep Learning meets Projective Clustering"). As there, rows are
    assigned to their nearest subspace and subspaces fitted to their rows, in turns, from several starts, of which the
    best result is kept. They draw the first subspaces at random; ours are spanned by neighbouring rows, one after
    another where the previous ones leave the largest errors, as k-means++ chooses its centers (Arthur and
    Vassilvitskii, 2007).
    """

    name: ClassVar[str] = "projective_clustering"

    subspaces: int = Field(default=5, ge=1, le=256, description="k, their number; more fit closer, each costs j H")
    starts: int = Field(default=3, ge=1, description="number of starts; the best result is kept")
    rounds: int = Field(default=10, ge=1, description="largest number of reassignments of rows, in each start")

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """Factors, projections and a byte for each token's subspace: j (V + k H) parameters."""
        projections, clusters = Part(self.subspaces * rank, hidden_size), Part(vocab_size, 1, "index", item_bytes=1)
        return Part(vocab_size, rank), projections, clusters

    def _check_options(self, vocab_size: int, hidden_size: int) -> None:
        if self.subspaces > vocab_size:
            raise ValueError(
                f"subspaces must be at most the {vocab_size} tokens of the table (found {self.subspaces}); use fewer"
            )

    def _fit(
        self, table: torch.Tensor, rank: int, evidence: Evidence | None, padding_idx: int | None, seed: int
    ) -> ClusteredEmbedding:
        from embfact.embeddings.clustered import ClusteredEmbedding

        found = cluster_rows(table, self.subspaces, rank, self.starts, self.rounds, seed)
        return ClusteredEmbedding.from_clusters(
            found.cluster.to(table.device), found.project(table), found.bases.to(table), padding_idx
        )


@dataclass(frozen=True)
class Subspaces:
    """Linear subspaces and the rows that belong to each.

    Attributes:
        cluster: Subspace of each row, shape ``(V,)``.
        bases: Orthonormal rows that span each subspace, shape ``(k, j, H)``, float64.
        errors: Σ_v |W_v - its projection|² after each round, never growing.
    """

    cluster: torch.Tensor
    bases: torch.Tensor
    errors: list[float]

    def project(self, table: torch.Tensor) -> torch.Tensor:
        """The j coordinates of each row in its subspace, shape ``(V, j)``, in the table's dtype and on its device."""
        import torch

        from embfact.factorization.spectrum import float64_blocks

        factors = torch.empty(len(table), self.bases.shape[1], dtype=table.dtype)
        for number, basis in enumerate(self.bases):
            members = (self.cluster == number).nonzero().squeeze(1)
            parts = [(rows @ basis.T).to(table.dtype) for rows in float64_blocks(table[members.to(table.device)])]
            factors[members] = torch.cat([factors[:0], *parts])
        return factors.to(table.device)


def cluster_rows(table: torch.Tensor, count: int, dimension: int, starts: int, rounds: int, seed: int) -> Subspaces:
    """The best ``count`` subspaces of a table ``(V, H)``, each of some dimension, from several seeded starts.

    A start ends after ``rounds`` rounds of assigning rows and fitting subspaces, or when nothing changes.
    """
    import torch

    from embfact.factorization.spectrum import float64_blocks

    draw = torch.Generator().manual_seed(seed)
    norms = torch.cat([rows.square().sum(dim=1) for rows in float64_blocks(table)])
    # A single subspace is found in one round from any start.
    found = [
        alternate(table, norms, first_bases(table, norms, count, dimension, draw), rounds)
        for _ in range(starts if count > 1 else 1)
    ]
    return min(found, key=lambda one: one.errors[-1])


def first_bases(
    table: torch.Tensor, norms: torch.Tensor, count: int, dimension: int, draw: torch.Generator
) -> torch.Tensor:
    """Subspaces to start from, each spanned by the rows that point most nearly in the direction of one row.

    That row is drawn with a probability proportional to its error in the subspaces so far.

    Args:
        table: W, shape ``(V, H)``.
        norms: |W_v|², shape ``(V,)``, float64.
        count: Number k of subspaces.
        dimension: Dimension j of each.
        draw: Source of random numbers.

    Returns:
        Orthonormal rows, shape ``(k, j, H)``, float64.
    """
    import torch

    from embfact.factorization.spectrum import float64_blocks

    missed, bases = norms, []
    for _ in range(count):
        row = int(torch.multinomial(missed if missed.any() else torch.ones_like(missed), 1, generator=draw))
        inner = torch.cat([rows @ table[row].to("cpu", torch.float64) for rows in float64_blocks(table)])
        cosines = inner.square() / norms.clamp(min=torch.finfo(torch.float64).tiny)
        # Twice as many as the dimension, so that a few neighbours from another subspace do not turn it.
        near = cosines.topk(min(2 * dimension, len(table))).indices
        bases.append(_basis(table, near, dimension))
        missed = torch.minimum(missed, _costs(table, norms, bases[-1].unsqueeze(0)).squeeze(1))
    return torch.stack(bases)


def alternate(table: torch.Tensor, norms: torch.Tensor, bases: torch.Tensor, rounds: int) -> Subspaces:
    """Assign each row to its nearest subspace and fit each subspace to its rows, in turns, from bases ``(k, j, H)``.

    Neither step can raise the error. A subspace without rows gets those that are fitted worst. It ends after ``rounds``
    rounds, or when no row changes its subspace. The norms are |W_v|², shape ``(V,)``, float64.
    """
    import torch

    (count, dimension, _), norm = bases.shape, norms.sum().item()
    cluster, costs = torch.full((len(table),), -1), _costs(table, norms, bases)
    errors: list[float] = []
    for _ in range(rounds):
        nearest = assign(costs, dimension, LEAST_ERROR * norm)
        if torch.equal(nearest, cluster):
            break
        cluster = nearest
        members = [(cluster == number).nonzero().squeeze(1) for number in range(count)]
        bases = torch.stack([_basis(table, rows, dimension) for rows in members])
        costs = _costs(table, norms, bases)
        errors.append(costs.gather(1, cluster.unsqueeze(1)).sum().item())
    return Subspaces(cluster, bases, errors)


def assign(costs: torch.Tensor, dimension: int, least: float) -> torch.Tensor:
    """The subspace in which each row costs least, shape ``(V,)``.

    The costs are squared errors, shape ``(V, k)``. No subspace is empty while a row has an error above ``least``; a new
    one fits as many rows exactly as its dimension.
    """
    missed, cluster = costs.min(dim=1)
    empty = (cluster.bincount(minlength=costs.shape[1]) == 0).nonzero().squeeze(1)
    worst = missed.argsort(descending=True, stable=True)[: len(empty) * dimension]
    for number, rows in zip(empty, worst[missed[worst] > least].split(dimension), strict=False):
        cluster[rows] = number
    return cluster


def _basis(table: torch.Tensor, rows: torch.Tensor, dimension: int) -> torch.Tensor:
    """Orthonormal rows that span the best subspace for some rows of the table; any if there are none."""
    import torch

    from embfact.factorization.decomposition import principal_axes

    if not len(rows):
        return torch.eye(dimension, table.shape[1], dtype=torch.float64)
    return principal_axes(table[rows.to(table.device)]).axes[:dimension]


def _costs(table: torch.Tensor, norms: torch.Tensor, bases: torch.Tensor) -> torch.Tensor:
    """Squared distance of each row from each subspace, shape ``(V, k)``."""
    import torch

    from embfact.factorization.spectrum import float64_blocks

    stacked = bases.flatten(0, 1).T
    kept = [(rows @ stacked).unflatten(1, bases.shape[:2]).square().sum(dim=2) for rows in float64_blocks(table)]
    return (norms.unsqueeze(1) - torch.cat(kept)).clamp(min=0)
