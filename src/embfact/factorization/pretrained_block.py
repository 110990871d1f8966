"""The weights of a smaller embedding block, from those of the pretrained block that it replaces."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from embfact.factorization.decomposition import check_table, principal_axes


def projected_weights(block: nn.Module, embedding_size: int) -> dict[str, torch.Tensor]:
    """What a `ProjectedBlock` of size E starts from to give nearly what the pretrained block gives.

    A LayerNorm takes the mean of the numbers of a vector away, so only what a token vector has besides it counts. Let B
    (E-1 x H) hold the top right singular vectors of the token table without the means of its rows, and Z (E x E-1) an
    orthonormal basis of the vectors that sum to zero. All tables T become (E/H)^½ T Bᵀ Zᵀ; the new LayerNorm, fresh,
    has no mean to take away from their sum and divides it by what the old one would; and the projection leads back by
    (H/E)^½ Z B and then has the weight and bias of the old LayerNorm. So a sum x of token, position and segment vectors
    comes out as the old LayerNorm of its projection x Bᵀ B: exactly as before for E = H.

    Args:
        block: A block that `find_block` accepts; it is not changed.
        embedding_size: The smaller size E, 2 or more.

    Returns:
        Part of the state dict of a `ProjectedBlock`: all but its LayerNorm, which starts at one and zero. Float64, CPU.

    Raises:
        ValueError: If the token table is not finite.
    """
    tables = {name: part.weight for name, part in block.named_children() if isinstance(part, nn.Embedding)}
    check_table(tables["word_embeddings"])
    norm, words = cast(nn.LayerNorm, block.LayerNorm), tables["word_embeddings"].detach().cpu()
    words = words.to(torch.promote_types(words.dtype, torch.float32))
    axes = principal_axes(words - words.mean(dim=1, keepdim=True)).axes[: embedding_size - 1]
    basis = _sum_zero(embedding_size) @ axes
    scale = (embedding_size / words.shape[1]) ** 0.5
    return {
        **{f"block.{name}.weight": scale * _double(table) @ basis.T for name, table in tables.items()},
        "projection.weight": _double(norm.weight).unsqueeze(1) * basis.T / scale,
        "projection.bias": _double(norm.bias),
    }


def _sum_zero(size: int) -> torch.Tensor:
    """An orthonormal basis, as columns, of the vectors of some size whose numbers sum to zero."""
    rows = torch.eye(size, dtype=torch.float64)
    rows[:, 0] = 1
    return torch.linalg.qr(rows).Q[:, 1:]


def _double(weight: torch.Tensor) -> torch.Tensor:
    return weight.detach().to("cpu", torch.float64)
