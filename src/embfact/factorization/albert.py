"""ALBERT's factorized embedding: the whole embedding block at a smaller size."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, cast

from pydantic import Field

from embfact.embeddings.layout import Part
from embfact.factorization.base import ModelAdapter

if TYPE_CHECKING:
    import torch
    from torch import nn


class Albert(ModelAdapter):
    """Token, position and segment tables and their LayerNorm at size E, then a Linear E -> H with bias.

    Lan et al. (2020), "ALBERT: A Lite BERT for Self-supervised Learning of Language Representations". The rank is the
    size E. ``init=random`` keeps nothing of the pretrained block, only the encoder above it. ``init=svd`` is ours, not
    the paper's: it starts near the pretrained block, see `projected_weights`.
    """

    name: ClassVar[str] = "albert"
    replaces_block: ClassVar[bool] = True

    init: Literal["random", "svd"] = Field(
        default="random", description="random: learned from scratch, as in the paper; svd: from the pretrained block"
    )

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """Token table, projection and bias: V E + E H + H parameters. The other tables shrink too but do not count."""
        return Part(vocab_size, rank), Part(rank, hidden_size, "plain"), Part(1, hidden_size, "plain")

    def smallest_rank(self, vocab_size: int, hidden_size: int) -> int:
        """1, or 2 with ``init=svd``: the LayerNorm of a single number is always zero."""
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
    """Weights with which a `ProjectedBlock` of size E gives nearly what the pretrained block gives.

    A LayerNorm removes the mean of a vector, so only the rest of a token vector matters. Let B (E-1 x H) hold the top
    right singular vectors of the token table with its row means removed, and Z (E x E-1) an orthonormal basis of the
    vectors that sum to zero. Every table T becomes (E/H)^½ T Bᵀ Zᵀ: the new LayerNorm, freshly initialized, then has no
    mean to remove, and divides a sum of projected vectors by what the old one would. The projection to H is the
    least-squares map from the output of the new LayerNorm to that of the old one, weight and bias included, over all
    tokens with the mean position and segment vector.

    For E = H the block gives what it gave before. For smaller E the LayerNorm restores the full length of vectors that
    lost their share outside of B, so the block is further from the pretrained one than the factors of `svd` of the same
    rank, which keep positions, segments and LayerNorm at H.

    Args:
        block: A block that `find_block` accepts; it is not changed.
        embedding_size: The smaller size E, 2 or more.

    Returns:
        Part of the state dict of a `ProjectedBlock`: all but its LayerNorm, which starts at one and zero. Float64, CPU.

    Raises:
        ValueError: If the token table is not finite.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    from embfact.factorization.decomposition import check_table, principal_axes

    check_table(cast(nn.Embedding, block.word_embeddings).weight)
    parts = {name: part for name, part in block.named_children() if isinstance(part, nn.Embedding)}
    tables = {name: part.weight.detach().to("cpu", torch.float64) for name, part in parts.items()}
    words, norm = tables["word_embeddings"], cast(nn.LayerNorm, block.LayerNorm)
    axes = principal_axes(words - words.mean(dim=1, keepdim=True)).axes[: embedding_size - 1]
    # An orthonormal basis, as columns, of the vectors that sum to zero.
    sum_zero = torch.eye(embedding_size, dtype=torch.float64)
    sum_zero[:, 0] = 1
    basis = (embedding_size / words.shape[1]) ** 0.5 * torch.linalg.qr(sum_zero).Q[:, 1:] @ axes

    sums = words + sum(table.mean(dim=0) for name, table in tables.items() if name != "word_embeddings")
    scale, shift = (part.detach().to("cpu", torch.float64) for part in (norm.weight, norm.bias))
    old = functional.layer_norm(sums, words.shape[1:], scale, shift, norm.eps)
    new = functional.layer_norm(sums @ basis.T, (embedding_size,), eps=norm.eps)
    weight, bias = _least_squares(new, old)
    return {
        **{f"block.{name}.weight": table @ basis.T for name, table in tables.items()},
        "projection.weight": weight,
        "projection.bias": bias,
    }


def _least_squares(inputs: torch.Tensor, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (H x E) and bias (H) of the smallest linear map from inputs (V x E) to the nearest outputs (V x H)."""
    import torch

    mean, target = inputs.mean(dim=0), outputs.mean(dim=0)
    centered = inputs - mean
    # Directions of pure rounding error: the sum of the numbers, and all of them for E = 2, which keeps only signs.
    noise = 1e-10 * inputs.square().sum().item()
    inverse = torch.linalg.pinv(centered.T @ centered, atol=noise, rtol=0, hermitian=True)
    weight = inverse @ (centered.T @ (outputs - target))
    return weight.T, target - mean @ weight
