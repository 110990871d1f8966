"""The choice of a method: whatever loses least of the table on held-out text, at a given number of bytes."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

from pydantic import Field

from embfact.embeddings.layout import DEFAULT_GROUP, FLOAT32, Part, Storage, StorageFormat, StorageGroup
from embfact.factorization.base import BudgetUnit, EvidenceKind, Method
from embfact.factorization.hybrid_svd import HybridSVD
from embfact.factorization.none import Dense
from embfact.factorization.transform_coding import TransformCoding
from embfact.factorization.vocabulary_pruning import VocabularyPruning
from embfact.formatting.typed import number

# Those that lead somewhere in docs/results/error_per_byte.md and are fitted in seconds, each in the formats in which it
# does; smaller results first.
CANDIDATES: tuple[tuple[Method, tuple[StorageFormat, ...]], ...] = (
    (TransformCoding(), ("int4", "int6", "int8")),
    (VocabularyPruning(), ("int4", "int8")),
    (HybridSVD(), ("int4", "int8")),
    (Dense(), ("int2", "int3", "int4", "int6", "int8", "float16")),
)

# The budgets that a tolerance chooses from, smallest first.
SIZES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.3)


class Auto(Method):
    """Chosen before the runs, by held-out rows, which neither methods nor reports look at.

    With a budget: of all `CANDIDATES` that fit it, the one with the least error of the table, weighted by the tokens of
    these rows. With a ``tolerance``: of the `SIZES`, the smallest that is expected to lose no more accuracy, if the
    table of the trained dense run is replaced and nothing trained.

    So it is never fitted itself: `embfact.search.choice` puts the method in its place.
    """

    name: ClassVar[str] = "auto"
    size_name: ClassVar[str] = "bytes"
    has_projection: ClassVar[bool] = False
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts"})

    tolerance: float | None = Field(
        default=None, gt=0, le=100, description="points of accuracy that may be lost, in place of a budget"
    )

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """At most the dense table."""
        return Dense().layout(vocab_size, hidden_size, 0)

    def rank_for_budget(
        self,
        vocab_size: int,
        hidden_size: int,
        budget: float,
        unit: BudgetUnit = "bytes",
        storage: Storage = FLOAT32,
        weight_bytes: int = 4,
    ) -> int:
        """The bytes of a budget.

        Raises:
            ValueError: If no candidate fits it.
        """
        if not candidates(vocab_size, hidden_size, budget, weight_bytes=weight_bytes):
            raise ValueError(
                f"budget {number(budget)} of the bytes of a {vocab_size} x {hidden_size} table has no room for any "
                "method of factorization=auto; raise it"
            )
        return int(budget * 4 * vocab_size * hidden_size)


def candidates(
    vocab_size: int, hidden_size: int, budget: float, group: StorageGroup = DEFAULT_GROUP, weight_bytes: int = 4
) -> list[tuple[Method, Storage]]:
    """The methods of `CANDIDATES`, with their formats, that fit a share of the bytes of the float32 V x H table."""
    table, most = (vocab_size, hidden_size), budget * 4 * vocab_size * hidden_size
    found = []
    for method, formats in CANDIDATES:
        for storage in (Storage(name, group) for name in formats):
            with suppress(ValueError):  # it does not fit
                if method.uses_rank:
                    method.rank_for_budget(*table, budget, "bytes", storage, weight_bytes)
                elif method.size(*table, None, storage, weight_bytes).bytes > most:
                    continue
                found.append((method, storage))
    return found


def sized(vocab_size: int, hidden_size: int, budget: float, group: StorageGroup) -> tuple[Method, Storage]:
    """The method and format that mostly lose least at a budget, so that only one has to be measured.

    Raises:
        ValueError: If none fits.
    """
    fitting = candidates(vocab_size, hidden_size, budget, group)
    if not fitting:
        raise ValueError(f"budget {number(budget)} has no room for any method of factorization=auto")
    # The rotation of H² numbers should take a small part of the bytes: docs/results/error_per_byte.md.
    share = hidden_size / (4 * vocab_size * budget)
    rotation = "int4" if share > 0.25 else "int6" if share > 0.05 else "int8"
    wanted = [("none", "int8"), ("transform_coding", rotation)]
    found = {(method.name, storage.format): (method, storage) for method, storage in fitting}
    return next((found[name] for name in wanted if name in found), fitting[0])
