"""ALBERT's factorized embedding: the whole embedding block at a smaller size."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from embfact.embeddings.layout import Part
from embfact.factorization.base import ModelAdapter
from embfact.factorization.decomposition import check_table, principal_axes

if TYPE_CHECKING:
    pass


class Albert(ModelAdapter):
    """Token, position and segment tables and their LayerNorm at size E, then a Linear E -> H with bias.

    Lan et al. (2020), "ALBERT: A Lite BERT for Self-supervised Learning of Language Representations". The size E is the
    rank. With ``init=random`` nothing of the pretrained block is kept; the encoder above it is. ``init=svd`` is ours,
    not the paper's: it starts near the pretrained block, see `embfact.factorization.albert`.
    """

    name: ClassVar[str] = "albert"

    init: Literal["random", "svd"] = Field(
        default="random", description="random: learned from scratch, as in the paper; svd: from the pretrained block"
    )

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """Token table, projection and bias: V E + E H + H parameters. The other tables shrink too and do not count."""
        return Part(vocab_size, rank), Part(rank, hidden_size, "plain"), Part(1, hidden_size, "plain")

    def smallest_rank(self, vocab_size: int, hidden_size: int) -> int:
        """1, or 2 with ``init=svd``: the LayerNorm of a single number is zero whatever the number."""
        return 2 if self.init == "svd" else 1

    def adapt(self, model: nn.Module, rank: int | None, seed: int = 0) -> None:
        """Replace the embedding block by one of size ``rank`` and a projection; see `ModelAdapter.adapt`."""
        from embfact.embeddings.projected_block import find_block, project_block

        block = find_block(model, allow_factorized=self.refactorize_existing)
        table = cast("nn.Embedding", block.word_embeddings)
        self.check_size(table.num_embeddings, table.embedding_dim, rank, allow_larger=True)
        weights = projected_weights(block, int(rank or 0)) if self.init == "svd" else {}
        project_block(model, block, int(rank or 0), seed).load_state_dict(weights, strict=False)


def projected_weights(block: nn.Module, embedding_size: int) -> dict[str, torch.Tensor]:
    """What a `ProjectedBlock` of size E starts from to give nearly what the pretrained block gives.

    A LayerNorm takes the mean of the numbers of a vector away, so only what a token vector has besides it counts. Let B
    (E-1 x H) hold the top right singular vectors of the token table without the means of its rows, and Z (E x E-1) an
    orthonormal basis of the vectors that sum to zero. Every table T becomes (E/H)^½ T Bᵀ Zᵀ: the new LayerNorm, fresh,
    then has no mean to take away, and divides a sum of projected vectors by what the old one would. The projection to H
    is the least-squares map from what the new LayerNorm gives to what the old one gave, weight and bias included, over
    all tokens with the mean position and segment vector.

    For E = H the block gives what it gave before. Below, what the LayerNorm puts back to full length has lost its share
    outside of B, so the block is further from the pretrained one than the factors of `svd` of the same rank, which keep
    positions, segments and LayerNorm at H.

    Args:
        block: A block that `find_block` accepts; it is not changed.
        embedding_size: The smaller size E, 2 or more.

    Returns:
        Part of the state dict of a `ProjectedBlock`: all but its LayerNorm, which starts at one and zero. Float64, CPU.

    Raises:
        ValueError: If the token table is not finite.
    """
    check_table(cast(nn.Embedding, block.word_embeddings).weight)
    tables = {name: _double(part.weight) for name, part in block.named_children() if isinstance(part, nn.Embedding)}
    words, norm = tables["word_embeddings"], cast(nn.LayerNorm, block.LayerNorm)
    axes = principal_axes(words - words.mean(dim=1, keepdim=True)).axes[: embedding_size - 1]
    basis = (embedding_size / words.shape[1]) ** 0.5 * _sum_zero(embedding_size) @ axes

    sums = words + sum(table.mean(dim=0) for name, table in tables.items() if name != "word_embeddings")
    old = functional.layer_norm(sums, words.shape[1:], _double(norm.weight), _double(norm.bias), norm.eps)
    new = functional.layer_norm(sums @ basis.T, (embedding_size,), eps=norm.eps)
    weight, bias = _least_squares(new, old)
    return {
        **{f"block.{name}.weight": table @ basis.T for name, table in tables.items()},
        "projection.weight": weight,
        "projection.bias": bias,
    }


def _least_squares(inputs: torch.Tensor, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (H x E) and bias (H) of the smallest linear map that brings inputs (V x E) nearest to outputs (V x H)."""
    mean, target = inputs.mean(dim=0), outputs.mean(dim=0)
    centered = inputs - mean
    # Directions of rounding errors alone: the sum of the numbers, and all of them where E = 2 tells tokens by sign.
    noise = 1e-10 * inputs.square().sum().item()
    inverse = torch.linalg.pinv(centered.T @ centered, atol=noise, rtol=0, hermitian=True)
    weight = inverse @ (centered.T @ (outputs - target))
    return weight.T, target - mean @ weight


def _sum_zero(size: int) -> torch.Tensor:
    """An orthonormal basis, as columns, of the vectors of some size whose numbers sum to zero."""
    rows = torch.eye(size, dtype=torch.float64)
    rows[:, 0] = 1
    return torch.linalg.qr(rows).Q[:, 1:]


def _double(weight: torch.Tensor) -> torch.Tensor:
    return weight.detach().to("cpu", torch.float64)
