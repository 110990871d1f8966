"""The interface of a factorization method: options in, a smaller module with the table's lookup out.

This module and the methods import torch only for type checking and inside functions, so that options are validated
before anything heavy is imported.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from embfact.embeddings.layout import FLOAT32, Part, Size, Storage, size_of
from embfact.formatting.typed import number

if TYPE_CHECKING:
    import torch
    from torch import nn

    from embfact.embeddings.base import TokenEmbedding
    from embfact.trimming.selection import Criteria

EvidenceKind = Literal["token_counts", "row_gradients", "gradient_metric"]
BudgetUnit = Literal["bytes", "params"]


@dataclass(frozen=True)
class Evidence:
    """What a data-aware method may look at; it comes only from rows that the run may train on.

    Whatever no method asked for is None. All tensors are float64 on the CPU.

    Attributes:
        token_counts: Occurrences of each token, shape ``(V,)``.
        row_gradients: For each token, the sum over examples of the squared norm of the loss gradient at its row of the
            table, shape ``(V,)``.
        gradient_metric: Mean of g gᵀ over token positions, where g is the loss gradient at the embedding output, shape
            ``(H, H)``.
    """

    token_counts: torch.Tensor | None = None
    row_gradients: torch.Tensor | None = None
    gradient_metric: torch.Tensor | None = None


class Method(BaseModel, ABC):
    """A way to make the embedding smaller. Its fields are its options; its class variables say what it needs.

    Every method has one size, called ``rank`` whatever it counts; ``size_name`` says what. ``has_projection``: a part
    of the result maps to the width H and can be trained alone. ``refactorizable``: the result is the table projected on
    r axes (a `LowRankEmbedding`), so training can project it repeatedly. ``replaces_block``: positions and segments
    get the smaller width too. ``size_is_bound``: the result may be smaller than `size`, depending on the data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ClassVar[str]
    uses_rank: ClassVar[bool] = True
    size_name: ClassVar[str] = "rank"
    knows_energy: ClassVar[bool] = False
    has_projection: ClassVar[bool] = True
    refactorizable: ClassVar[bool] = False
    replaces_block: ClassVar[bool] = False
    size_is_bound: ClassVar[bool] = False
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset()

    refactorize_existing: bool = Field(
        default=False,
        description="factorize a table that the backbone already keeps at a smaller size (ALBERT, ELECTRA-small)",
    )

    def caveat(self, fine_tuned: bool) -> str | None:
        """How this setting differs from that of the paper that its name promises; None if it does not.

        Args:
            fine_tuned: Whether the table is that of a model that was fine-tuned on the task.
        """
        return None

    @abstractmethod
    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """The tensors that replace the dense V x H table; a larger rank never makes them smaller.

        If the shapes depend on the data, these are the largest possible.
        """

    def size(
        self, vocab_size: int, hidden_size: int, rank: int | None, storage: Storage = FLOAT32, weight_bytes: int = 4
    ) -> Size:
        """Parameters and bytes of the replacement."""
        return size_of(self.layout(vocab_size, hidden_size, rank or 0), storage, weight_bytes)

    def parameters(self, vocab_size: int, hidden_size: int, rank: int | None) -> int:
        """Parameters of the replacement."""
        return self.size(vocab_size, hidden_size, rank).parameters

    def rank_limit(self, vocab_size: int, hidden_size: int) -> int:
        """The largest meaningful rank, whatever the size of the result: H for factors."""
        return hidden_size

    def largest_rank(self, vocab_size: int, hidden_size: int, storage: Storage = FLOAT32, weight_bytes: int = 4) -> int:
        """The largest rank whose result, as saved, is smaller than the dense table; 0 if there is none."""
        dense = weight_bytes * vocab_size * hidden_size
        ranks = range(1, self.rank_limit(vocab_size, hidden_size) + 1)
        sizes = (vocab_size, hidden_size)
        return bisect_left(ranks, dense, key=lambda rank: self.size(*sizes, rank, storage, weight_bytes).bytes)

    def rank_for_budget(
        self,
        vocab_size: int,
        hidden_size: int,
        budget: float,
        unit: BudgetUnit = "bytes",
        storage: Storage = FLOAT32,
        weight_bytes: int = 4,
    ) -> int:
        """The largest rank whose result fits a budget.

        Args:
            vocab_size: Rows V of the dense table.
            hidden_size: Columns H of the dense table.
            budget: Share of the dense float32 table.
            unit: Whether it is a share of the bytes, as saved, or of the parameters.
            storage: How rows are stored.
            weight_bytes: Bytes of a weight that is not stored smaller: 4 for a float32 model.

        Raises:
            ValueError: If not even the smallest rank fits, with the smallest budget that does.
        """
        weights = vocab_size * hidden_size
        self._check_options(vocab_size, hidden_size)

        def share(rank: int) -> float:
            size = self.size(vocab_size, hidden_size, rank, storage, weight_bytes)
            return size.parameters / weights if unit == "params" else size.bytes / (4 * weights)

        limit = self.largest_rank(vocab_size, hidden_size, storage, weight_bytes)
        rank = bisect_right(range(1, limit + 1), budget, key=share)
        smallest = self.smallest_rank(vocab_size, hidden_size)
        if rank < smallest:
            least = -(-share(smallest) * 10_000 // 1) / 10_000
            remedy = f"it takes {least:g} or more" if smallest <= limit else "no size of it is smaller than the table"
            raise ValueError(
                f"budget {number(budget)} of the {unit} of a {vocab_size} x {hidden_size} table has no room for "
                f"{self.name}; {remedy}"
            )
        return rank

    def rank_for_energy(self, table: torch.Tensor, energy: float, evidence: Evidence | None = None) -> int:
        """The smallest rank that retains a share of the (weighted) squared norm of the table.

        Args:
            table: The dense table, shape ``(V, H)``.
            energy: The share, above 0 and at most 1.
            evidence: What ``needs`` asks for.

        Raises:
            ValueError: If the size of this method is not a number of singular values.
        """
        self.check_energy()
        raise NotImplementedError(f"{self.name} has knows_energy=True, and no rank_for_energy")

    def check_energy(self) -> None:
        """Refuse an energy if this method cannot choose its size by one, with a ValueError."""
        if not self.knows_energy:
            raise ValueError(
                f"energy chooses a rank by singular values, which {self.name} does not use; set rank or budget"
            )

    def smallest_rank(self, vocab_size: int, hidden_size: int) -> int:
        """The smallest rank that the method accepts: 1, unless its options require more."""
        return 1

    def check_size(
        self,
        vocab_size: int,
        hidden_size: int,
        rank: int | None,
        allow_larger: bool = False,
        storage: Storage = FLOAT32,
        weight_bytes: int = 4,
    ) -> None:
        """Refuse a rank that this table does not allow, or that would not shrink it.

        Args:
            vocab_size: Rows V of the dense table.
            hidden_size: Columns H of the dense table.
            rank: The requested rank; None for a method without one.
            allow_larger: Accept a rank up to `rank_limit` that does not shrink the table.
            storage: How the result will be stored.
            weight_bytes: Bytes of a weight of the model.

        Raises:
            ValueError: With the largest rank that shrinks the table.
        """
        if not self.uses_rank:
            return
        if rank is None or rank < 1:
            raise ValueError(f"rank must be a whole number of 1 or more for {self.name} (found {rank})")
        self._check_options(vocab_size, hidden_size)
        shape, smallest = f"{vocab_size} x {hidden_size} table", self.smallest_rank(vocab_size, hidden_size)
        meaning = "" if self.size_name == "rank" else f" ({self.size_name})"
        if rank < smallest:
            reason = self._why_too_small(vocab_size, hidden_size)
            raise ValueError(f"rank {rank}{meaning} is too small for {self.name} of a {shape}{reason}")
        limit = self.rank_limit(vocab_size, hidden_size)
        if allow_larger and rank > limit:
            columns = f" the {hidden_size} columns of the table" if limit == hidden_size else f" {limit}"
            raise ValueError(f"rank {rank}{meaning} is above{columns}; use at most {limit}")
        largest = self.largest_rank(vocab_size, hidden_size, storage, weight_bytes)
        if not allow_larger and rank > largest:
            remedy = f"the largest rank that does is {largest}" if largest >= smallest else "use factorization=none"
            raise ValueError(f"rank {rank}{meaning} does not shrink a {shape} with {self.name}; {remedy}")

    def _why_too_small(self, vocab_size: int, hidden_size: int) -> str:
        """The rest of the message "rank 1 is too small": the reason, if there is one, and the remedy."""
        return f"; use {self.smallest_rank(vocab_size, hidden_size)} or more"

    def _check_options(self, vocab_size: int, hidden_size: int) -> None:
        """Refuse options that do not fit the table whatever the rank, with a ValueError."""


class Factorization(Method):
    """A method that replaces the V x H table alone and knows nothing of the model around it."""

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """Two factors, V x r and r x H, with r (V + H) parameters, unless a method stores something else."""
        return Part(vocab_size, rank), Part(rank, hidden_size)

    def fit(
        self,
        table: torch.Tensor,
        rank: int | None = None,
        *,
        evidence: Evidence | None = None,
        padding_idx: int | None = None,
        seed: int = 0,
    ) -> TokenEmbedding:
        """Replace a dense table by a smaller module.

        Args:
            table: The dense table, shape ``(V, H)``, any floating dtype; it is not changed.
            rank: Inner dimension r; None for a method without one.
            evidence: What ``needs`` asks for.
            padding_idx: Row whose output is not trained, as in `torch.nn.Embedding`.
            seed: For methods that draw random numbers.

        Returns:
            A module with the table's lookup: ids ``(...)`` in, vectors ``(..., H)`` out, in the table's dtype.

        Raises:
            ValueError: If the table is not finite, or the rank or the evidence does not fit it.
        """
        from embfact.factorization.decomposition import check_table

        self.check_size(*check_table(table), rank, allow_larger=True)
        return self._fit(table, rank or 0, evidence, padding_idx, seed)

    def _fit(
        self, table: torch.Tensor, rank: int, evidence: Evidence | None, padding_idx: int | None, seed: int
    ) -> TokenEmbedding:
        """What a method implements: `fit` for a checked table and rank; the rank is 0 for a method without one."""
        raise NotImplementedError(f"{type(self).__name__} has no _fit")


class ModelAdapter(Method):
    """A method that replaces more of a model than its table, and therefore has to know the model."""

    @abstractmethod
    def adapt(self, model: nn.Module, rank: int | None, seed: int = 0) -> None:
        """Change a model in place.

        The new modules depend only on the model's shape, the options and the rank: to load a saved model, adapt a fresh
        one of the same configuration and load the saved weights into it.

        Args:
            model: A model with ``get_input_embeddings()`` and ``config``, as transformers builds it.
            rank: Size of the smaller embedding; None for a method without one.
            seed: For the randomly drawn weights.

        Raises:
            ValueError: If the model lacks a part that the method replaces; the model is then unchanged.
        """


class TokenizerMethod(Method):
    """A method that drops tokens from the tokenizer too: what is left is a dense table with fewer rows.

    It needs the tokenizer beside the model, and texts are encoded again, so only a run can use it.
    """

    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts"})

    @abstractmethod
    def criteria(self, rank: int) -> Criteria:
        """Which tokens to keep.

        Args:
            rank: Their number.
        """
