"""Principal axes of a table: the closed form behind every SVD-like method.

Eckart and Young (1936): the rank-r table nearest to W is W projected on the r right singular vectors of its largest
singular values. V is far larger than H, so these come from an H x H problem, computed in float64 on the CPU whatever
the table's dtype and device, and cast once at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from embfact.embeddings.low_rank import LowRankEmbedding
from embfact.factorization.block_krylov import leading_axes
from embfact.factorization.spectrum import Metric, Route, block_rows, float64_blocks, order_unused, spectrum_of

# Columns of A are computed this many at a time, so that their bits do not depend on the requested rank.
STEP = 128


@dataclass(frozen=True)
class Axes:
    """One decomposition, which serves every rank up to n: the axes of a smaller rank are a prefix.

    The nearest table is 1 mean + A B, where B is the first ``axes`` and A = (W - 1 mean) Eᵀ with E the first
    ``encoder``.

    Attributes:
        energies: Squared singular values, largest first, shape ``(n,)``, float64.
        axes: Rows of B, shape ``(n, H)``, in the dtype that A is computed in: float64, or float32 if a randomized route
            found them in it. Orthonormal right singular vectors unless there is a metric.
        encoder: Rows of E, shape ``(n, H)``; the same tensor as ``axes`` unless there is a metric.
        mean: Vector subtracted from every row first, shape ``(H,)``, or None.
        norm: (Weighted) squared norm of the whole table, including its mean.
        remainder: Energy of the axes beyond n.
    """

    energies: torch.Tensor
    axes: torch.Tensor
    encoder: torch.Tensor
    mean: torch.Tensor | None
    norm: float
    remainder: float = 0.0

    def rank_for_energy(self, energy: float) -> int | None:
        """The smallest rank of 1 or more that retains a share of the norm; None if these axes do not suffice."""
        lost = torch.cat([self.energies, self.energies.new_tensor([self.remainder])]).flip(0).cumsum(0).flip(0)
        # energy=1 does not mean the rounding of a float64 too.
        missing = int((lost > (1 - energy + 1e-12) * self.norm).sum())
        return max(1, missing) if missing < len(lost) else None


def check_table(table: torch.Tensor) -> tuple[int, int]:
    """The sizes V and H of a dense table of finite numbers.

    Raises:
        ValueError: If it is anything else; with the first faulty row.
    """
    shape = check_shape(table)
    # The extremes of a table with a NaN are NaN: one pass without a copy shows that all is well.
    if table.numel() and not torch.isfinite(torch.stack(torch.aminmax(table.detach()))).all():
        faulty = (~torch.isfinite(table)).sum(dim=1)
        count, row = int(faulty.sum()), int(faulty.nonzero()[0])
        raise ValueError(f"the table has {count} values that are not finite, the first in row {row}; use sound weights")
    return shape


def check_shape(table: torch.Tensor) -> tuple[int, int]:
    """The sizes V and H of a dense table, whatever its values; see `check_table`.

    Raises:
        ValueError: If it is not a matrix of floating-point numbers in memory.
    """
    if table.ndim != 2 or not table.is_floating_point() or table.is_meta:
        found = f"{table.dtype} of shape {tuple(table.shape)} on {table.device}"
        raise ValueError(f"a table must be a V x H matrix of floating-point numbers in memory (found {found})")
    return table.shape[0], table.shape[1]


def principal_axes(
    table: torch.Tensor,
    row_weights: torch.Tensor | None = None,
    route: Route = "auto",
    *,
    metric: Metric | None = None,
    center: bool = False,
    count: int | None = None,
    seed: int = 0,
) -> Axes:
    """Right singular vectors of diag(p)^1/2 (W - 1 mu) M^1/2 and their energies.

    Args:
        table: W, shape ``(V, H)``, any floating dtype.
        row_weights: p, shape ``(V,)``, not negative; None weighs all rows equally. Directions that no weighted row uses
            are ordered by the unweighted table.
        route: ``gram``, the cheapest, takes the eigenvectors of the H x H matrix Wᵀ diag(p) W; this squares the
            condition number, so singular values below 1e-8 of the largest are lost to rounding. ``qr`` takes the SVD of
            the R of W, which keeps them. ``auto`` is ``gram``, or ``qr`` if the table is float64 and its smallest
            eigenvalue is below 1e-9 of its largest; rounding to float32 hides everything that ``gram`` loses.
            ``randomized`` finds only the first axes, of a table without weights and metric, and falls back to ``auto``
            if it is not cheaper or not accurate; see `leading_axes`.
        metric: M; None is the identity.
        center: Subtract the weighted mean row mu first.
        count: Number of axes that ``randomized`` finds.
        seed: Seed of ``randomized``.

    Returns:
        The axes, largest energy first. Their signs are fixed: the entry of largest magnitude is positive.
    """
    mean = _mean(table, row_weights) if center else None
    if route == "randomized":
        found = leading_axes(table, count or table.shape[1], seed, mean)
        if found is not None:
            energies, axes, norm = found
            axes, remainder = _fix_signs(axes), max(0.0, norm - energies.sum().item())
            return Axes(energies, axes, axes, mean, norm + _energy(mean, len(table)), remainder)
        route = "auto"
    used = len(table) if row_weights is None else int(row_weights.count_nonzero())
    used = min(used - center, table.shape[1])
    energies, axes, noise = spectrum_of(table, row_weights, route, metric, mean, used)
    if row_weights is not None:
        used = min(used, int((energies > noise * energies[0]).sum()))
        axes = order_unused(axes, used, float64_blocks(table, mean=mean), metric)
    axes, weight = _fix_signs(axes), len(table) if row_weights is None else row_weights.sum().item()
    norm = energies.sum().item() + _energy(mean if mean is None or metric is None else mean @ metric.root, weight)
    if metric is None:
        return Axes(energies, axes, axes, mean, norm)
    return Axes(energies, axes @ metric.inverse, axes @ metric.root, mean, norm)


def truncate(table: torch.Tensor, axes: Axes, rank: int | None, padding_idx: int | None = None) -> LowRankEmbedding:
    """The table projected on its first axes, or on all: B holds r orthonormal rows, and A = W Bᵀ carries the scale.

    With B orthonormal, a step on A moves the vectors as far as the same step on a dense table would, and a token
    without weight in the decomposition still gets the best vector that B allows. The factors have the table's dtype and
    device.
    """
    rank = len(axes.axes) if rank is None else rank
    return low_rank(table, axes, project(table, axes, 0, rank), rank, padding_idx)


def project(table: torch.Tensor, axes: Axes, start: int, stop: int) -> torch.Tensor:
    """Columns of A for the axes from ``start`` (a multiple of `STEP`) to ``stop``, rounded up to a whole `STEP`.

    Returns:
        Shape ``(V, n)`` with n at least ``stop - start``, in the table's dtype on the CPU.
    """
    parts = [axes.encoder[first : first + STEP] for first in range(start, stop, STEP)]
    width = sum(map(len, parts))
    columns = torch.empty(len(table), width, dtype=table.dtype)
    step = block_rows(table)
    for kept, rows in zip(columns.split(step), table.detach().split(step), strict=True):
        block = rows.to("cpu", axes.encoder.dtype)
        if axes.mean is not None:
            block = block - axes.mean.to(block)
        torch.cat([(block @ part.T).to(table.dtype) for part in parts], dim=1, out=kept)
    return columns


def low_rank(
    table: torch.Tensor, axes: Axes, columns: torch.Tensor, rank: int, padding_idx: int | None = None
) -> LowRankEmbedding:
    """A module of copies of the first ``rank`` columns of A and as many axes; see `truncate`."""
    factors = columns[:, :rank].clone(memory_format=torch.contiguous_format).to(table.device)
    mean = None if axes.mean is None else axes.mean.to(table, copy=True)
    return LowRankEmbedding.from_factors(factors, axes.axes[:rank].to(table, copy=True), padding_idx, mean)


def _mean(table: torch.Tensor, row_weights: torch.Tensor | None) -> torch.Tensor:
    weights = torch.ones(len(table), dtype=torch.float64) if row_weights is None else row_weights.double()
    weights = weights / weights.sum()
    pairs = zip(weights.split(block_rows(table)), float64_blocks(table), strict=True)
    return torch.stack([part @ block for part, block in pairs]).sum(dim=0)


def _energy(mean: torch.Tensor | None, weight: float) -> float:
    return 0.0 if mean is None else weight * mean.square().sum().item()


def _fix_signs(axes: torch.Tensor) -> torch.Tensor:
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    return axes * torch.where(largest < 0, -1.0, 1.0)
