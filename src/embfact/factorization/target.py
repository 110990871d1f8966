"""The size of the result as a user gives it: a rank, a budget or a share of energy.

Light to import: budgets are turned into ranks before anything heavy is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from embfact.embeddings.layout import FLOAT32, Storage
from embfact.factorization.base import BudgetUnit, Evidence, Method
from embfact.formatting.typed import number, typed

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SizeTarget:
    """Exactly one of rank, budget and energy.

    Attributes:
        rank: Size of the method itself.
        budget: Largest share of the dense float32 table; the largest size that fits is taken.
        energy: Share of the (weighted) squared norm to retain; the smallest rank that does so is taken.
        unit: Whether `budget` is a share of bytes or of parameters.
    """

    rank: int | None = None
    budget: float | None = None
    energy: float | None = None
    unit: BudgetUnit = "bytes"

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in ("rank", "budget", "energy")}
        found = {name: value for name, value in given.items() if value is not None}
        if len(found) != 1:
            given_as = ", ".join(f"{name}={typed(value)}" for name, value in found.items()) or "none of them"
            raise ValueError(f"set exactly one of rank, budget and energy (found {given_as})")
        for name in ("budget", "energy"):
            share = given[name]
            if share is not None and not 0 < share <= 1:
                raise ValueError(f"{name} must be a share above 0 and at most 1, e.g. 0.1 (found {typed(share)})")

    def __str__(self) -> str:
        if self.rank is not None:
            return f"r{self.rank}"
        if self.budget is not None:
            return f"{'b' if self.unit == 'bytes' else 'p'}{typed(self.budget)}"
        return f"e{typed(self.energy)}"

    def check(
        self, method: Method, vocab_size: int, hidden_size: int, storage: Storage = FLOAT32, weight_bytes: int = 4
    ) -> None:
        """Refuse what is certain to fail for a V x H table of weights of this many bytes, without the table.

        Raises:
            ValueError: With the remedy.
        """
        if not method.uses_rank:
            return
        if self.energy is not None:
            method.check_energy()
        elif self.budget is not None:
            method.rank_for_budget(vocab_size, hidden_size, self.budget, self.unit, storage, weight_bytes)
        else:
            method.check_size(vocab_size, hidden_size, self.rank, False, storage, weight_bytes)

    def rank_of(
        self, method: Method, table: torch.Tensor, evidence: Evidence | None = None, storage: Storage = FLOAT32
    ) -> int | None:
        """The rank of a method for a table; None for a method without one.

        Args:
            method: The method.
            table: The dense table, shape ``(V, H)``.
            evidence: What ``method.needs`` asks for.
            storage: How the result will be stored, which decides what fits a budget.

        Raises:
            ValueError: If nothing fits the budget, or the energy needs a size that does not shrink the table.
        """
        if not method.uses_rank:
            return None
        if self.rank is not None:
            return self.rank
        (vocab_size, hidden_size), weight_bytes = table.shape, table.element_size()
        if self.budget is not None:
            return method.rank_for_budget(vocab_size, hidden_size, self.budget, self.unit, storage, weight_bytes)
        energy = float(self.energy or 1)
        rank = method.rank_for_energy(table, energy, evidence)
        try:
            method.check_size(vocab_size, hidden_size, rank, False, storage, weight_bytes)
        except ValueError as error:
            raise ValueError(f"energy {number(energy)} is too much for {method.name}: {error}; lower energy") from None
        return rank
