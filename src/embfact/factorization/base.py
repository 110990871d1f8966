"""What every factorization method is: options in, and a smaller module with the table's lookup out.

This module and the method files import torch only for type checking and inside functions: the options of a method are
validated before anything heavy is imported.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import torch
    from torch import nn

    from embfact.embeddings.base import TokenEmbedding

EvidenceKind = Literal["token_counts"]


@dataclass(frozen=True)
class Evidence:
    """What a data-aware method may look at, taken only from rows that the run may train on.

    Attributes:
        token_counts: Occurrences of each token, shape ``(V,)``, float64, or None if no method asked for it.
    """

    token_counts: torch.Tensor | None = None


class Method(BaseModel, ABC):
    """A way to make the embedding smaller: its fields are its options, its class variables say what it needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ClassVar[str]
    uses_rank: ClassVar[bool] = True
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset()

    refactorize_existing: bool = Field(
        default=False,
        description="factorize a table that the backbone already keeps at a smaller size (ALBERT, ELECTRA-small)",
    )

    @abstractmethod
    def parameters(self, vocab_size: int, hidden_size: int, rank: int | None) -> int:
        """Parameters that replace the V x H of the dense table."""

    def largest_rank(self, vocab_size: int, hidden_size: int) -> int:
        """The largest rank that makes the table smaller: r (V + H) < V H."""
        return (vocab_size * hidden_size - 1) // (vocab_size + hidden_size)

    def check_size(self, vocab_size: int, hidden_size: int, rank: int | None, allow_larger: bool = False) -> None:
        """Refuse a rank that this table cannot take or that would not shrink it.

        Args:
            vocab_size: Rows V of the dense table.
            hidden_size: Columns H of the dense table.
            rank: The rank asked for; None for a method that has none.
            allow_larger: Accept a rank up to H that does not shrink the table.

        Raises:
            ValueError: With the largest rank that shrinks the table.
        """
        if not self.uses_rank:
            return
        if rank is None or rank < 1:
            raise ValueError(f"rank must be a whole number of 1 or more for {self.name} (found {rank})")
        largest = self.largest_rank(vocab_size, hidden_size)
        limit = hidden_size if allow_larger else largest
        if rank > limit:
            raise ValueError(
                f"rank {rank} does not shrink a {vocab_size} x {hidden_size} table with {self.name}; "
                f"the largest rank that does is {largest}"
                if not allow_larger
                else f"rank {rank} is above the {hidden_size} columns of the table; use at most {hidden_size}"
            )


class Factorization(Method):
    """A method that replaces the V x H table alone and knows nothing of the model around it."""

    def parameters(self, vocab_size: int, hidden_size: int, rank: int | None) -> int:
        """Two factors, V x r and r x H, unless a method keeps something else: r (V + H)."""
        return (rank or 0) * (vocab_size + hidden_size)

    @abstractmethod
    def fit(
        self,
        table: torch.Tensor,
        rank: int | None,
        *,
        evidence: Evidence | None = None,
        padding_idx: int | None = None,
        seed: int = 0,
    ) -> TokenEmbedding:
        """Replace a dense table by a smaller module.

        Args:
            table: The dense table, shape ``(V, H)``, any floating dtype; it is not changed.
            rank: Inner dimension r; None for a method that has none.
            evidence: What ``needs`` asks for.
            padding_idx: Row whose output is not trained, as in `torch.nn.Embedding`.
            seed: For methods that draw random numbers.

        Returns:
            A module with the table's lookup: ids ``(...)`` in, vectors ``(..., H)`` out, in the table's dtype.

        Raises:
            ValueError: If the table is not finite or the evidence does not fit it.
        """


class ModelAdapter(Method):
    """A method that replaces more of a model than its table, and so has to know the model around it."""

    @abstractmethod
    def adapt(self, model: nn.Module, rank: int | None, seed: int = 0) -> None:
        """Change a model in place.

        The new modules depend on the model's shape, the options and the rank alone: to load a saved model, adapt a
        fresh one of the same configuration and load the saved weights into it.

        Args:
            model: A model with ``get_input_embeddings()`` and ``config``, as transformers builds it.
            rank: Size of the smaller embedding; None for a method that has none.
            seed: For the weights that are drawn at random.

        Raises:
            ValueError: If the model has not the parts that the method replaces; the model is then unchanged.
        """
