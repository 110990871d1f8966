"""TT-SVD: the cores of a tensor train, one truncated SVD after the other.

Oseledets (2011), "Tensor-Train Decomposition", algorithm 1. Its squared error is at most the sum, over the cuts between
the cores, of the error of truncating that unfolding alone, and therefore at most d - 1 times the least error of any
train of these ranks. Everything is computed in float64 on the CPU and cast once at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch

BLOCK_NUMBERS = 1 << 24


def tt_cores(
    table: torch.Tensor, row_factors: Sequence[int], column_factors: Sequence[int], ranks: Sequence[int]
) -> list[torch.Tensor]:
    """The cores of a table, as `embfact.embeddings.tensor_train.TensorTrainEmbedding` reads them.

    Rows beyond the table, up to v_1 v_2 ... v_d, are zero.

    The singular values of each cut are shared between its two sides, and all cores are scaled to the same size. A step
    of Adam, which moves every weight equally far, then moves the vectors about as far as the same step on a dense
    table, and numbers that share a scale when they are quantized have similar sizes.

    Args:
        table: W, shape ``(V, H)``, any floating dtype.
        row_factors: v_k of each of the d cores; their product is V or more.
        column_factors: h_k of each core; their product is H.
        ranks: r_k of each of the d - 1 cuts, none above what its unfolding can have.

    Returns:
        Cores of the shapes ``(r_k-1, v_k, h_k, r_k)``, in the table's dtype and on its device.
    """
    rest, share = _as_tensor(table, row_factors, column_factors), torch.ones(1, dtype=torch.float64)
    cores = []
    for rows, columns, rank in zip(row_factors, column_factors, ranks, strict=False):
        left, rest = _truncate(rest.reshape(len(share) * rows * columns, -1), rank)
        core = left.view(len(share), rows, columns, rank) / share.view(-1, 1, 1, 1)
        share = rest.norm(dim=1).sqrt()
        share = torch.where(share > 0, share, 1)
        cores.append(core * share)
    cores.append(rest.view(len(share), row_factors[-1], column_factors[-1], 1) / share.view(-1, 1, 1, 1))
    return [core.to(table) for core in _balanced(cores)]


def _as_tensor(table: torch.Tensor, row_factors: Sequence[int], column_factors: Sequence[int]) -> torch.Tensor:
    """The table with its digits as axes, (v_1, h_1, v_2, h_2, ...), in its own dtype on the CPU."""
    padded = torch.nn.functional.pad(table.detach().cpu(), (0, 0, 0, prod(row_factors) - len(table)))
    count = len(row_factors)
    order = [axis for k in range(count) for axis in (k, count + k)]
    return padded.view(*row_factors, *column_factors).permute(order)


def _truncate(matrix: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """U (m x r) with orthonormal columns and Uᵀ M (r x n), the best such pair for a matrix M (m x n).

    Either comes from the smaller of M Mᵀ and Mᵀ M. A wide matrix, as large as the table, is read in blocks.
    """
    if matrix.shape[0] <= matrix.shape[1]:
        blocks = matrix.split(max(1, BLOCK_NUMBERS // matrix.shape[0]), dim=1)
        left = _largest_axes(blocks, rank)
        return left, torch.cat([left.T @ block.double() for block in blocks], dim=1)
    matrix = matrix.double()
    right = _largest_axes([matrix.T], rank)
    left, triangle = torch.linalg.qr(matrix @ right)
    return left, triangle @ right.T


def _largest_axes(blocks: Sequence[torch.Tensor], rank: int) -> torch.Tensor:
    """Left singular vectors, as columns, of the r largest singular values of blocks side by side."""
    gram = torch.zeros(len(blocks[0]), len(blocks[0]), dtype=torch.float64)
    for block in blocks:
        exact = block.double()
        gram.addmm_(exact, exact.T)
    return torch.linalg.eigh(gram).eigenvectors[:, -rank:].flip(1)


def _balanced(cores: list[torch.Tensor]) -> list[torch.Tensor]:
    """The same train with equally large numbers, by root mean square, in every core."""
    sizes = torch.stack([core.square().mean().sqrt() for core in cores])
    if not sizes.all():
        return cores
    mean = sizes.log().mean().exp()
    return [core * (mean / size) for core, size in zip(cores, sizes, strict=True)]
