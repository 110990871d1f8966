"""ALBERT's factorized embedding: the whole embedding block at a smaller size, learned from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from embfact.factorization.base import ModelAdapter

if TYPE_CHECKING:
    from torch import nn


class Albert(ModelAdapter):
    """Token, position and segment tables and their LayerNorm at size E, then a Linear E -> H with bias.

    Lan et al. (2020), "ALBERT: A Lite BERT for Self-supervised Learning of Language Representations". The size E is the
    rank. Nothing of the pretrained block is kept; the encoder above it is.
    """

    name: ClassVar[str] = "albert"

    def parameters(self, vocab_size: int, hidden_size: int, rank: int | None) -> int:
        """Token table, projection and bias: V E + E H + H. The other tables shrink too and are not counted."""
        return (rank or 0) * (vocab_size + hidden_size) + hidden_size

    def largest_rank(self, vocab_size: int, hidden_size: int) -> int:
        """The largest size that makes the table smaller: V E + E H + H < V H."""
        return max(0, (vocab_size - 1) * hidden_size - 1) // (vocab_size + hidden_size)

    def adapt(self, model: nn.Module, rank: int | None, seed: int = 0) -> None:
        """Replace the embedding block by one of size ``rank`` and a projection; see `ModelAdapter.adapt`."""
        from embfact.embeddings.projected_block import find_block, project_block

        block = find_block(model, allow_factorized=self.refactorize_existing)
        table = cast("nn.Embedding", block.word_embeddings)
        self.check_size(table.num_embeddings, table.embedding_dim, rank, allow_larger=True)
        project_block(model, block, int(rank or 0), seed)
