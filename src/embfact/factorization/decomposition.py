"""Principal axes of a table: the closed form under every SVD-like method.

Eckart and Young (1936): of all rank-r tables the nearest to W is W projected on the r right singular vectors of its
largest singular values. V is far above H, so those come from a problem of size H x H. All of it is computed in float64
on the CPU, whatever the table's dtype and device, and cast once at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch

from embfact.embeddings.low_rank import LowRankEmbedding

Route = Literal["gram", "qr"]
BLOCK_ROWS = 8192


@dataclass(frozen=True)
class Axes:
    """One decomposition, which serves every rank: the axes of a smaller rank are a prefix.

    Attributes:
        energies: Squared singular values, largest first, shape ``(H,)``, float64; the squared error of rank r is the
            sum of ``energies[r:]``.
        axes: Right singular vectors as orthonormal rows, shape ``(H, H)``, float64.
    """

    energies: torch.Tensor
    axes: torch.Tensor


def check_table(table: torch.Tensor) -> tuple[int, int]:
    """The sizes V and H of a dense table of finite numbers; anything else is refused.

    Raises:
        ValueError: With what is wrong, and where the first faulty row is.
    """
    if table.ndim != 2 or not table.is_floating_point() or table.is_meta:
        found = f"{table.dtype} of shape {tuple(table.shape)} on {table.device}"
        raise ValueError(f"a table must be a V x H matrix of floating-point numbers in memory (found {found})")
    faulty = (~torch.isfinite(table)).sum(dim=1)
    if faulty.any():
        count, row = int(faulty.sum()), int(faulty.nonzero()[0])
        raise ValueError(f"the table has {count} values that are not finite, the first in row {row}; use sound weights")
    return table.shape[0], table.shape[1]


def principal_axes(table: torch.Tensor, row_weights: torch.Tensor | None = None, route: Route = "gram") -> Axes:
    """Right singular vectors of diag(p)^1/2 W and their energies.

    Args:
        table: W, shape ``(V, H)``, any floating dtype.
        row_weights: p, shape ``(V,)``, not negative; None weighs all rows by one. Directions that no row with a weight
            uses are ordered by the unweighted table.
        route: ``gram`` takes the eigenvectors of the H x H matrix W^T diag(p) W, the cheapest; it squares the condition
            number, so that singular values below 1e-8 of the largest are lost in rounding. ``qr`` takes the SVD of the
            R of W, which keeps them, and needs the whole table in float64.

    Returns:
        All H axes, the one of the largest energy first. Their signs are fixed: the entry of largest size is positive.
    """
    if route == "gram":
        energies, vectors = torch.linalg.eigh(_gram(table, row_weights))
        energies, axes = energies.flip(0).clamp(min=0), vectors.T.flip(0)
    else:
        rows = torch.cat(list(float64_blocks(table, row_weights)))
        _, singular, axes = torch.linalg.svd(torch.linalg.qr(rows, mode="r").R, full_matrices=True)
        energies = torch.zeros(table.shape[1], dtype=torch.float64)
        energies[: len(singular)] = singular.square()
    if row_weights is not None:
        axes = _order_unused(axes, table, used=int(row_weights.count_nonzero()))
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    return Axes(energies, axes * largest.sign())


def truncate(table: torch.Tensor, axes: Axes, rank: int | None, padding_idx: int | None = None) -> LowRankEmbedding:
    """The table projected on its first axes: B holds r orthonormal rows, and A = W B^T carries the scale.

    With B orthonormal a step on A moves the vectors as far as the same step on a dense table would, and a token that
    weighs nothing in the decomposition still gets the best vector that B allows.

    Args:
        table: W, shape ``(V, H)``.
        axes: The decomposition of W, weighted or not.
        rank: How many axes to keep; None keeps all.
        padding_idx: As in `torch.nn.Embedding`.

    Returns:
        The factors in the table's dtype and on its device.
    """
    basis = axes.axes[:rank]
    factors = torch.cat([(block @ basis.T).to(table.dtype) for block in float64_blocks(table)])
    return LowRankEmbedding.from_factors(factors.to(table.device), basis.to(table), padding_idx)


def float64_blocks(table: torch.Tensor, row_weights: torch.Tensor | None = None) -> Iterator[torch.Tensor]:
    """Some rows of diag(p)^1/2 W at a time in float64: a whole second table would not fit beside a large one."""
    for start in range(0, len(table), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        block = table[rows].detach().to("cpu", torch.float64)
        yield block if row_weights is None else block * row_weights[rows].to(block).sqrt().unsqueeze(1)


def _gram(table: torch.Tensor, row_weights: torch.Tensor | None = None) -> torch.Tensor:
    gram = torch.zeros(table.shape[1], table.shape[1], dtype=torch.float64)
    for block in float64_blocks(table, row_weights):
        gram.addmm_(block.T, block)
    return gram


def _order_unused(axes: torch.Tensor, table: torch.Tensor, used: int) -> torch.Tensor:
    """Turn the axes that a few weighted rows leave arbitrary towards what the other rows need most."""
    if used >= len(axes):
        return axes
    unused = axes[used:]
    _, vectors = torch.linalg.eigh(unused @ _gram(table) @ unused.T)
    return torch.cat([axes[:used], vectors.T.flip(0) @ unused])
