"""A tensor train: the table as a chain of small cores."""

from __future__ import annotations

from itertools import pairwise
from math import log, prod
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from embfact.embeddings.layout import Part
from embfact.factorization.base import Evidence, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.tensor_train import TensorTrainEmbedding


class TensorTrain(Factorization):
    """W[i, j] ~ G_1[i_1, j_1] G_2[i_2, j_2] ... G_d[i_d, j_d], with i and j written in digits.

    Hrinchuk et al. (2020), "Tensorized Embedding Layers", with the cores of TT-SVD (Oseledets, 2011). Neighbouring
    cores share the rank r, or as much of it as the sizes on both sides of the cut allow.
    """

    name: ClassVar[str] = "tensor_train"
    has_projection: ClassVar[bool] = False

    cores: int = Field(default=3, ge=2, le=8, description="d, number of cores that the table is cut into")

    def shape(self, vocab_size: int, hidden_size: int) -> tuple[list[int], list[int]]:
        """The row factors v_k, whose product is V or slightly more, and the column factors h_k, whose product is H.

        Both are as equal as possible; the largest columns are at the ends, where cores are smallest.
        """
        rows: list[int] = []
        for left in range(self.cores, 0, -1):
            rows.append(ceil_root(-(-vocab_size // prod(rows)), left))
        return rows, balanced_divisors(hidden_size, self.cores)

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """The cores, Σ r_k-1 v_k h_k r_k parameters; a row of core k has the numbers of one digit."""
        rows, columns = self.shape(vocab_size, hidden_size)
        ranks = [1, *_capped_ranks(rows, columns, rank), 1]
        return tuple(
            Part(count, left * width * right)
            for count, width, (left, right) in zip(rows, columns, pairwise(ranks), strict=True)
        )

    def rank_limit(self, vocab_size: int, hidden_size: int) -> int:
        """The largest rank that any cut can have."""
        return max(_cut_limits(*self.shape(vocab_size, hidden_size)))

    def _fit(
        self, table: torch.Tensor, rank: int, evidence: Evidence | None, padding_idx: int | None, seed: int
    ) -> TensorTrainEmbedding:
        from embfact.embeddings.tensor_train import TensorTrainEmbedding
        from embfact.factorization.tt_svd import tt_cores

        rows, columns = self.shape(*table.shape)
        cores = tt_cores(table, rows, columns, _capped_ranks(rows, columns, rank))
        return TensorTrainEmbedding.from_cores(cores, len(table), padding_idx)


def ceil_root(number: int, degree: int) -> int:
    """The smallest whole number whose power is at least a number: 32 for 30,522 and degree 3."""
    root = max(1, round(number ** (1 / degree)))
    while root**degree < number:
        root += 1
    while root > 1 and (root - 1) ** degree >= number:
        root -= 1
    return root


def balanced_divisors(number: int, count: int) -> list[int]:
    """Factors of a number, as equal as possible, the largest at the ends: 8, 6, 8 for 384 and three.

    A prime number gives itself and ones.
    """
    factors: list[int] = []
    for left in range(count, 0, -1):
        rest = number // prod(factors)
        divisors = [divisor for divisor in range(1, rest + 1) if rest % divisor == 0]
        factors.append(min(divisors, key=lambda divisor: abs(log(divisor) - log(rest) / left)))
    factors.sort()
    return [*factors[1::2][::-1], *factors[0::2]]


def _cut_limits(rows: list[int], columns: list[int]) -> list[int]:
    """The largest rank of the unfolding at each cut: the smaller of its two sides."""
    sizes = [count * width for count, width in zip(rows, columns, strict=True)]
    return [min(prod(sizes[:cut]), prod(sizes[cut:])) for cut in range(1, len(sizes))]


def _capped_ranks(rows: list[int], columns: list[int], rank: int) -> list[int]:
    return [min(rank, limit) for limit in _cut_limits(rows, columns)]
