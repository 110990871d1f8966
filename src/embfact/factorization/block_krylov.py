"""The first principal axes of a large table by random projection, without its H x H Gram matrix.

The range finder with power iterations of Halko, Martinsson and Tropp (2011), "Finding structure with randomness", in
the variant that keeps every power: Halko, Martinsson, Shkolnisky and Tygert (2011), "An algorithm for the principal
component analysis of large data sets", which Musco and Musco (2015) analyse as block Krylov iteration. It needs half as
many products as plain power iterations for the same accuracy.
"""

from __future__ import annotations

from itertools import pairwise

import torch

# Small enough for a block to still be in the processor's cache when it is used a second time.
BLOCK_ROWS = 2048
# Half of the promised excess over the optimal error: the estimate that ends the iterations is rough.
TOLERANCE = 5e-4


def randomized_pays(hidden_size: int, count: int) -> bool:
    """Whether so few axes are requested that finding them takes less work than the whole spectrum."""
    return 8 * count <= hidden_size


def leading_axes(
    table: torch.Tensor, count: int, seed: int, mean: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor, float] | None:
    """Approximate right singular vectors of W - 1 mu whose truncation error is within 0.1 % of the optimum.

    Products with the table use its own dtype (float32 for 16-bit tables), everything else float64. Iterations end when
    the remaining gain, extrapolated from the last two gains, is below the tolerance.

    Args:
        table: W, shape ``(V, H)``, any floating dtype.
        count: Number n of axes.
        seed: Seed of the random start.
        mean: mu, shape ``(H,)``, or None.

    Returns:
        Energies, shape ``(n,)``, float64; orthonormal axes, shape ``(n, H)``, in the dtype of the products; and the
        squared norm of W - 1 mu. None if the whole spectrum is the better way: for many axes, for singular values that
        fall too slowly to be told apart, and for an error so small that rounding of the products hides it.
    """
    hidden_size, width = table.shape[1], -(-count // 2)
    draw = torch.Generator().manual_seed(seed)
    block = torch.linalg.qr(torch.randn(hidden_size, width, generator=draw, dtype=torch.float64)).Q
    norm, rounding = _squared_norm(table, mean), torch.finfo(_work_dtype(table)).eps
    basis, images, retained = block[:, :0], block[:, :0], [0.0]
    while randomized_pays(hidden_size, count) and 2 * (basis.shape[1] + width) <= hidden_size:
        basis, images = torch.cat([basis, block], dim=1), torch.cat([images, _gram_times(table, block, mean)], dim=1)
        small = basis.T @ images
        energies, vectors = torch.linalg.eigh((small + small.T) / 2)
        energies, vectors = energies.flip(0)[:count].clamp(min=0), vectors.flip(1)[:, :count]
        retained.append(energies.sum().item())
        left = norm - retained[-1]
        if left <= 1e4 * rounding * norm or norm - small.trace().item() <= 100 * rounding * norm:
            return None
        if basis.shape[1] >= 2 * count and _still_to_come(retained) <= 2 * TOLERANCE * left:
            return energies, (basis @ vectors).T.to(_work_dtype(table)).contiguous(), norm
        block = images[:, -width:]
        for _ in range(2):
            block = torch.linalg.qr(block - basis @ (basis.T @ block)).Q
    return None


def _still_to_come(retained: list[float]) -> float:
    """The rest of a series whose gains keep falling as they did last, or more slowly if the fall slowed down."""
    *_, older, before, gain = [after - now for now, after in pairwise(retained)]
    if not 0 < gain < before < older:
        return 0.0 if gain <= 0 else float("inf")
    ratio = gain / before
    ratio += 2 * max(0.0, ratio - before / older)
    return gain * ratio / (1 - ratio) if ratio < 1 else float("inf")


def _work_dtype(table: torch.Tensor) -> torch.dtype:
    return torch.float64 if table.dtype == torch.float64 else torch.float32


def _squared_norm(table: torch.Tensor, mean: torch.Tensor | None) -> float:
    parts = (_prepared(rows, mean) for rows in table.split(BLOCK_ROWS))
    return torch.stack([part.square().sum().double() for part in parts]).sum().item()


def _gram_times(table: torch.Tensor, block: torch.Tensor, mean: torch.Tensor | None) -> torch.Tensor:
    """(W - 1 mu)ᵀ (W - 1 mu) X in float64, shape ``(H, n)``."""
    narrow = block.to(_work_dtype(table))
    product = torch.zeros_like(narrow)
    for rows in table.split(BLOCK_ROWS):
        part = _prepared(rows, mean)
        product.addmm_(part.T, part @ narrow)
    return product.double()


def _prepared(rows: torch.Tensor, mean: torch.Tensor | None) -> torch.Tensor:
    part = rows.detach().to("cpu", _work_dtype(rows))
    return part if mean is None else part - mean.to(part)
