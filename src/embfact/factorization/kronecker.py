"""A sum of Kronecker products: the table as a pattern of blocks times a few kinds of block."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from embfact.embeddings.layout import Part
from embfact.factorization.base import Evidence, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.tensor_train import TensorTrainEmbedding

BLOCK_NUMBERS = 4096  # the fit is an eigenproblem of at most this size


class Kronecker(Factorization):
    """W ~ Σ_t A_t ⊗ B_t over r terms, with A_t (v_1 x h_1) and B_t (v_2 x h_2), v_1 v_2 >= V and h_1 h_2 = H.

    Tahaei et al. (2022), "KroneckerBERT", has one term with blocks of one row; Panahi et al. (2020), "word2ket", has
    sums. Van Loan and Pitsianis (1993): with every v_2 x h_2 block of W written out as a row, A_t ⊗ B_t is a matrix of
    rank one, so the best sum comes from an SVD. Rows of the last blocks beyond W are zero.

    Such a sum is a tensor train of two cores, and stored as one.
    """

    name: ClassVar[str] = "kronecker"
    size_name: ClassVar[str] = "terms"
    has_projection: ClassVar[bool] = False

    block_columns: int | None = Field(
        default=None, ge=1, description="h_2, a divisor of H; null: the smallest that is not below the square root of H"
    )
    block_rows: int | None = Field(
        default=None, ge=1, description="v_2; null: the fewest numbers per term, so the finest steps; KroneckerBERT: 1"
    )

    def shape(self, vocab_size: int, hidden_size: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """The rows (v_1, v_2) and the columns (h_1, h_2) of A_t and B_t."""
        divisors = [size for size in range(1, hidden_size + 1) if hidden_size % size == 0]
        width = self.block_columns or next(size for size in divisors if size * size >= hidden_size)
        count = hidden_size // width

        def numbers(rows: int) -> int:
            return -(-vocab_size // rows) * count + rows * width

        candidates = range(1, min(vocab_size, max(1, BLOCK_NUMBERS // width)) + 1)
        rows = self.block_rows or min(candidates, key=numbers)
        return (-(-vocab_size // rows), rows), (count, width)

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """All A_t side by side, and all B_t: r (v_1 h_1 + v_2 h_2) parameters."""
        (blocks, rows), (count, width) = self.shape(vocab_size, hidden_size)
        return Part(blocks, count * rank), Part(rows, rank * width)

    def rank_limit(self, vocab_size: int, hidden_size: int) -> int:
        """The number of terms that can represent any table: as many as A_t or B_t has numbers."""
        (blocks, rows), (count, width) = self.shape(vocab_size, hidden_size)
        return min(blocks * count, rows * width)

    def _check_options(self, vocab_size: int, hidden_size: int) -> None:
        if self.block_columns and hidden_size % self.block_columns:
            raise ValueError(
                f"block_columns must divide the {hidden_size} columns of the table (found {self.block_columns}); "
                "leave it null for one that does"
            )
        if self.block_rows and self.block_rows > vocab_size:
            raise ValueError(
                f"block_rows must be at most the {vocab_size} rows of the table (found {self.block_rows}); "
                "leave it null for one that fits"
            )

    def _fit(
        self, table: torch.Tensor, rank: int, evidence: Evidence | None, padding_idx: int | None, seed: int
    ) -> TensorTrainEmbedding:
        from embfact.embeddings.tensor_train import TensorTrainEmbedding
        from embfact.factorization.tt_svd import tt_cores

        cores = tt_cores(table, *self.shape(*table.shape), [rank])
        return TensorTrainEmbedding.from_cores(cores, len(table), padding_idx)
