"""ALBERT's factorized embedding: the whole embedding block at a smaller size."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, cast

from pydantic import Field

from embfact.embeddings.layout import Part
from embfact.factorization.base import ModelAdapter

if TYPE_CHECKING:
    from torch import nn


class Albert(ModelAdapter):
    """Token, position and segment tables and their LayerNorm at size E, then a Linear E -> H with bias.

    Lan et al. (2020), "ALBERT: A Lite BERT for Self-supervised Learning of Language Representations". The size E is the
    rank. With ``init=random`` nothing of the pretrained block is kept; the encoder above it is. ``init=svd`` is ours,
    not the paper's: it starts near the pretrained block, see `embfact.factorization.pretrained_block`.
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
        from embfact.factorization.pretrained_block import projected_weights

        block = find_block(model, allow_factorized=self.refactorize_existing)
        table = cast("nn.Embedding", block.word_embeddings)
        self.check_size(table.num_embeddings, table.embedding_dim, rank, allow_larger=True)
        weights = projected_weights(block, int(rank or 0)) if self.init == "svd" else {}
        project_block(model, block, int(rank or 0), seed).load_state_dict(weights, strict=False)
