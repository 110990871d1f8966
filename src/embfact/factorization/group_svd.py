"""Groups of tokens of similar frequency, each with its own SVD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from math import ceil
from typing import TYPE_CHECKING, ClassVar, get_args

from pydantic import Field

from embfact.embeddings.layout import FLOAT32, LEAST_ZERO_BITS, Part, Size, Storage, StorageGroup, packed_bytes
from embfact.factorization.base import Evidence, EvidenceKind, Factorization

if TYPE_CHECKING:
    import torch

    from embfact.embeddings.grouped import GroupedEmbedding
    from embfact.factorization.decomposition import Axes

# Gains below this share of the whole error are rounding: exchanging tokens for them would never end.
LEAST_GAIN = 1e-12
# A length of one more than a multiple of this wastes the most, in the last group of codes and of zero points and in
# their last bytes, whatever the storage, if no code lies across two bytes.
_WASTE = 8 // LEAST_ZERO_BITS * max(group for group in get_args(StorageGroup) if group != "row")


class GroupSVD(Factorization):
    """min Σ_g Σ_{v in g} p_v |W_v - A_v B_g|²: tokens in groups, each with a weighted SVD of its own rank.

    GroupReduce (Chen et al., NeurIPS 2018). Tokens are sorted by frequency and cut into groups of doubling size, which
    hold about equal shares of a text whose counts follow Zipf's law. Ranks are assigned axis by axis, each where it
    removes the most weighted error per parameter. Then tokens of different groups are exchanged where that lowers the
    error, and each group is fitted again, in turns; sizes and ranks stay.

    Everything together, including the map from tokens to rows, is no larger than the factors of rank r of `svd` in
    float32.
    """

    name: ClassVar[str] = "group_svd"
    size_is_bound: ClassVar[bool] = True
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts"})

    groups: int = Field(default=5, ge=2, description="number of groups; each is twice as large as the one before")
    rounds: int = Field(default=3, ge=0, description="largest number of regroupings; 0: by frequency alone")
    smoothing: float = Field(
        default=1.0,
        ge=0,
        allow_inf_nan=False,
        description="added to the count of every token; 0: unseen tokens get only axes that no other token needs",
    )

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """At most r (V + H) - V parameters, Σ r_g (V_g + H) over the ranks of the groups, and a map.

        Whatever those ranks are, no storage takes more than this: the projections are counted with as many rows as the
        ranks can add up to, since each row may have its own scales, and the codes with lengths that begin a group, and
        a byte of packed codes and zero points, with their last number.
        """
        numbers = max(0, rank * (vocab_size + hidden_size) - vocab_size)
        index = Part(vocab_size, 1, "index")
        if rank < self.smallest_rank(vocab_size, hidden_size):
            return Part(1, numbers), index
        projections = most_axes(doubling_sizes(vocab_size, self.groups), hidden_size, numbers)
        codes = numbers - projections * hidden_size
        length = 1 + (codes // vocab_size - 1) // _WASTE * _WASTE
        longer, rest = divmod(codes - length * vocab_size, _WASTE)
        lengths = Part(longer, length + _WASTE), Part(1, length + rest), Part(vocab_size - longer - 1, length)
        return Part(projections, hidden_size), *lengths, index

    def size(
        self, vocab_size: int, hidden_size: int, rank: int | None, storage: Storage = FLOAT32, weight_bytes: int = 4
    ) -> Size:
        """Parameters and bytes of the replacement, or more."""
        size = super().size(vocab_size, hidden_size, rank, storage, weight_bytes)
        if not storage.quantized:
            return size
        across = _across(storage.bits, hidden_size) + _across(storage.zero_bits, storage.groups(hidden_size))
        return replace(size, bytes=size.bytes + ceil(vocab_size * across))

    def smallest_rank(self, vocab_size: int, hidden_size: int) -> int:
        """Rank 1 in each group takes V + G H numbers, and the map as many as V."""
        return -(-(2 * vocab_size + self.groups * hidden_size) // (vocab_size + hidden_size))

    def _why_too_small(self, vocab_size: int, hidden_size: int) -> str:
        smallest = self.smallest_rank(vocab_size, hidden_size)
        return f": it leaves nothing for some of {self.groups} groups; use rank {smallest} or more, or fewer groups"

    def _check_options(self, vocab_size: int, hidden_size: int) -> None:
        if 2**self.groups > vocab_size + 1:
            raise ValueError(
                f"{vocab_size} tokens are too few for {self.groups} groups of doubling size; "
                f"use at most {(vocab_size + 1).bit_length() - 1} groups"
            )

    def _fit(
        self, table: torch.Tensor, rank: int, evidence: Evidence | None, padding_idx: int | None, seed: int
    ) -> GroupedEmbedding:
        from embfact.embeddings.grouped import GroupedEmbedding
        from embfact.factorization.decomposition import truncate
        from embfact.factorization.token_counts import by_frequency, checked_counts

        vocab_size, hidden_size = table.shape
        counts = checked_counts(evidence, vocab_size, self.name)
        weights = (counts + self.smoothing) / (counts + self.smoothing).sum()
        budget = self.parameters(vocab_size, hidden_size, rank)
        start = group_by_order(table, weights, by_frequency(counts), doubling_sizes(vocab_size, self.groups), budget)
        groups = refine(table, weights, start, self.rounds)
        parts = [
            truncate(table[(groups.group == number).to(table.device)], axes, kept)
            for number, (axes, kept) in enumerate(zip(groups.axes, groups.ranks, strict=True))
        ]
        factors, projections = [part.factors.weight for part in parts], [part.projection.weight for part in parts]
        return GroupedEmbedding.from_groups(groups.group, factors, projections, padding_idx)


def _across(bits: int, most: int) -> float:
    """The most bytes that up to `most` codes take beyond one code and the bits of the others."""
    return max(packed_bytes(1 + more, bits) - packed_bytes(1, bits) - more * bits / 8 for more in range(min(most, 8)))


def doubling_sizes(vocab_size: int, groups: int) -> list[int]:
    """Sizes of groups of V tokens, each about twice as large as the one before: V 2^g / (2^G - 1), rounded."""
    ends = [round(vocab_size * (2**group - 1) / (2**groups - 1)) for group in range(groups + 1)]
    return [end - start for start, end in pairwise(ends)]


def most_axes(sizes: list[int], hidden_size: int, budget: int) -> int:
    """The largest Σ r_g that Σ r_g (V_g + H) <= budget allows: one axis each, the others where they are cheapest."""
    left, axes = budget - sum(sizes) - len(sizes) * hidden_size, len(sizes)
    for size in sorted(sizes):
        more = min(left // (size + hidden_size), min(size, hidden_size) - 1)
        left -= more * (size + hidden_size)
        axes += more
    return axes


@dataclass(frozen=True)
class Groups:
    """A partition of the tokens and what is kept of each part.

    Attributes:
        group: Group of each token, shape ``(V,)``.
        axes: Weighted principal axes of the rows of each group.
        ranks: Number of axes that each group keeps.
    """

    group: torch.Tensor
    axes: list[Axes]
    ranks: list[int]

    @property
    def error(self) -> float:
        """Weighted squared error Σ_v p_v |W_v - A_v B_g|² of the whole table."""
        kept = zip(self.axes, self.ranks, strict=True)
        return sum(axes.energies[rank:].sum().item() for axes, rank in kept)


def group_by_order(
    table: torch.Tensor, weights: torch.Tensor, order: torch.Tensor, sizes: Sequence[int], budget: int
) -> Groups:
    """Cut an ordering of the tokens, shape ``(V,)``, into groups of some sizes, and share a budget among them.

    The table is W ``(V, H)``, the weights p ``(V,)``, not negative; the budget counts the numbers of all factors.
    """
    import torch

    group = torch.empty(len(order), dtype=torch.int64)
    group[order] = torch.repeat_interleave(torch.tensor(sizes))
    axes = _axes_of(table, weights, group, len(sizes))
    return Groups(group, axes, share_ranks([part.energies for part in axes], sizes, budget))


def share_ranks(energies: Sequence[torch.Tensor], sizes: Sequence[int], budget: int) -> list[int]:
    """Ranks by importance: the next axis goes where it removes the most weighted error per parameter.

    Args:
        energies: What each axis of a group removes, largest first, shapes ``(H,)``.
        sizes: Tokens V_g of each group.
        budget: Numbers that all factors together may hold: Σ r_g (V_g + H) is at most this.

    Returns:
        A rank of 1 or more, and at most min(V_g, H), for each group.

    Raises:
        ValueError: If the budget does not suffice for rank 1 everywhere.
    """
    prices = [size + len(part) for size, part in zip(sizes, energies, strict=True)]
    ranks, left = [1] * len(sizes), budget - sum(prices)
    if left < 0:
        raise ValueError(f"{budget} parameters are too few for {len(sizes)} groups; use a larger rank or fewer groups")
    gains = [
        (energy / price, -group)
        for group, (part, price, size) in enumerate(zip(energies, prices, sizes, strict=True))
        for energy in part[1:size].tolist()
    ]
    # Energies fall within a group, so its axes come one after another in this order.
    for _, negative in sorted(gains, reverse=True):
        if prices[-negative] <= left:
            ranks[-negative] += 1
            left -= prices[-negative]
    return ranks


def refine(table: torch.Tensor, weights: torch.Tensor, groups: Groups, rounds: int) -> Groups:
    """Regroup the tokens and fit the axes again, in turns; neither step can raise the weighted error.

    Sizes and ranks stay. It ends after ``rounds`` rounds, or when no exchange of tokens gains anything.
    """
    for _ in range(rounds):
        group = exchange(_costs(table, weights, groups), groups.group)
        if group.equal(groups.group):
            break
        groups = Groups(group, _axes_of(table, weights, group, len(groups.ranks)), groups.ranks)
    return groups


def exchange(costs: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """Swap tokens between groups, two groups at a time, as long as that lowers the sum of their costs ``(V, G)``.

    For two groups the outcome is the best of all partitions of their tokens into groups of these sizes: the tokens that
    gain most by leaving one are swapped with those that gain most by leaving the other.

    Returns:
        The new group of each token, shape ``(V,)``; every group keeps its size.
    """
    group = group.clone()
    least = LEAST_GAIN * costs.gather(1, group.unsqueeze(1)).sum()
    for one, other in combinations(range(costs.shape[1]), 2):
        here, there = (group == one).nonzero().squeeze(1), (group == other).nonzero().squeeze(1)
        away, leave = (costs[here, one] - costs[here, other]).sort(descending=True, stable=True)
        back, come = (costs[there, other] - costs[there, one]).sort(descending=True, stable=True)
        pairs = min(len(here), len(there))
        swaps = int((away[:pairs] + back[:pairs] > least).sum())
        group[here[leave[:swaps]]] = other
        group[there[come[:swaps]]] = one
    return group


def _axes_of(table: torch.Tensor, weights: torch.Tensor, group: torch.Tensor, count: int) -> list[Axes]:
    from embfact.factorization.decomposition import principal_axes

    members = [(group == number).nonzero().squeeze(1) for number in range(count)]
    return [principal_axes(table[ids.to(table.device)], weights[ids]) for ids in members]


def _costs(table: torch.Tensor, weights: torch.Tensor, groups: Groups) -> torch.Tensor:
    """Weighted squared error of each token in each group, shape ``(V, G)``."""
    import torch

    from embfact.factorization.spectrum import float64_blocks

    bases = [axes.axes[:rank] for axes, rank in zip(groups.axes, groups.ranks, strict=True)]
    missed = []
    for rows in float64_blocks(table):
        kept = torch.stack([(rows @ basis.T).square().sum(dim=1) for basis in bases], dim=1)
        missed.append((rows.square().sum(dim=1, keepdim=True) - kept).clamp(min=0))
    return weights.unsqueeze(1) * torch.cat(missed)
