"""Singular values and vectors of a table with weighted rows and columns: the H x H problems of every exact route."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch

Route = Literal["auto", "gram", "qr", "randomized"]
BLOCK_NUMBERS = 2**18  # 2 MB: a block is still in the cache after its conversion
LEAST_BLOCK_ROWS = 512  # for wide tables: smaller blocks would read and write the Gram matrix too often
PANEL_COLUMNS = 96
# Rounding moves the eigenvalues of a Gram matrix by about 1e-15 of the largest. Axes whose eigenvalue is above 1e-9 of
# it are then off by less than 1e-6, and the error of the factors, which is quadratic in that, by less than 1e-9.
LEAST_GRAM_ENERGY = 1e-9
EPSILON = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Metric:
    """A positive definite H x H matrix M that weighs the columns: |x|² becomes x M xᵀ.

    Attributes:
        root: M^1/2, symmetric, shape ``(H, H)``, float64.
        inverse: M^-1/2.
    """

    root: torch.Tensor
    inverse: torch.Tensor


def spectrum_of(
    table: torch.Tensor,
    row_weights: torch.Tensor | None,
    route: Route,
    metric: Metric | None,
    mean: torch.Tensor | None,
    used: int,
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """All principal axes of diag(p)^1/2 (W - 1 mu) M^1/2 by an exact route.

    Args:
        table: W, shape ``(V, H)``.
        row_weights: p, shape ``(V,)``, or None for ones.
        route: ``auto``, ``gram`` or ``qr``; see `embfact.factorization.decomposition.principal_axes`.
        metric: M, or None for the identity.
        mean: mu, shape ``(H,)``, or None.
        used: Number of axes that the weighted rows can use.

    Returns:
        Energies, largest first, shape ``(H,)``; the axes as orthonormal rows, shape ``(H, H)``; and the share of the
        largest energy below which an energy is rounding.
    """
    blocks = partial(float64_blocks, table, row_weights, mean)
    if route != "qr":
        energies, axes = _by_gram(blocks(), metric)
        hidden = table.dtype != torch.float64 or not used or bool(energies[used - 1] > LEAST_GRAM_ENERGY * energies[0])
        if route != "auto" or hidden:
            return energies, axes, EPSILON * len(axes)
    energies, axes = _by_qr(blocks(), metric)
    return energies, axes, (EPSILON * len(axes)) ** 2


def order_unused(axes: torch.Tensor, used: int, blocks: Iterator[torch.Tensor], metric: Metric | None) -> torch.Tensor:
    """Turn the axes that a few weighted rows leave arbitrary towards what the other rows need most.

    Of the axes, orthonormal rows ``(H, H)``, the first ``used`` stay; ``blocks`` are all rows of the table, unweighted.
    """
    if used >= len(axes):
        return axes
    unused = axes[used:]
    towards = unused if metric is None else unused @ metric.root
    _, vectors = torch.linalg.eigh(towards @ _gram(blocks) @ towards.T)
    return torch.cat([axes[:used], vectors.T.flip(0) @ unused])


def float64_blocks(
    table: torch.Tensor, row_weights: torch.Tensor | None = None, mean: torch.Tensor | None = None
) -> Iterator[torch.Tensor]:
    """Blocks of rows of diag(p)^1/2 (W - 1 mu) in float64: a second copy of a large table would not fit beside it.

    A block may share memory with the table and must not be changed.
    """
    step = block_rows(table)
    for start in range(0, len(table), step):
        block = table[start : start + step].detach().to("cpu", torch.float64)
        if mean is not None:
            block = block - mean
        if row_weights is not None:
            block = block * row_weights[start : start + step].to(block).sqrt().unsqueeze(1)
        yield block


def block_rows(table: torch.Tensor) -> int:
    """Number of rows of a table in a block."""
    return max(LEAST_BLOCK_ROWS, BLOCK_NUMBERS // table.shape[1])


def _by_gram(blocks: Iterator[torch.Tensor], metric: Metric | None) -> tuple[torch.Tensor, torch.Tensor]:
    gram = _gram(blocks)
    energies, vectors = torch.linalg.eigh(gram if metric is None else metric.root @ gram @ metric.root)
    return energies.flip(0).clamp(min=0), vectors.T.flip(0)


def _by_qr(blocks: Iterator[torch.Tensor], metric: Metric | None) -> tuple[torch.Tensor, torch.Tensor]:
    """SVD of R, which is found step by step: the R of some rows replaces them when the next rows come."""
    waiting: list[torch.Tensor] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= 4 * block.shape[1]:
            waiting = [torch.linalg.qr(torch.cat(waiting), mode="r").R]
    upper = torch.linalg.qr(torch.cat(waiting), mode="r").R
    _, singular, axes = torch.linalg.svd(upper if metric is None else upper @ metric.root, full_matrices=True)
    energies = axes.new_zeros(len(axes))
    energies[: len(singular)] = singular.square()
    return energies, axes


def _gram(blocks: Iterator[torch.Tensor]) -> torch.Tensor:
    """XᵀX of all blocks X: only the upper panels of columns, since it is symmetric."""
    gram = torch.empty(0)
    for block in blocks:
        if not len(gram):
            gram = torch.zeros(block.shape[1], block.shape[1], dtype=torch.float64)
        for start in range(0, block.shape[1], PANEL_COLUMNS):
            panel = slice(start, start + PANEL_COLUMNS)
            gram[panel, start:].addmm_(block[:, panel].T, block[:, start:])
    return gram.triu() + gram.triu(1).T
