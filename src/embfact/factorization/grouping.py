"""Groups of tokens, each with principal axes of its own: the steps of GroupReduce (Chen et al., 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from embfact.factorization.decomposition import Axes, float64_blocks, principal_axes

# Gains below this share of the whole error are rounding: exchanges for them would go on for ever.
LEAST_GAIN = 1e-12


@dataclass(frozen=True)
class Groups:
    """A partition of the tokens and what is kept of each part.

    Attributes:
        group: Group of each token, shape ``(V,)``.
        axes: Weighted principal axes of the rows of each group.
        ranks: How many of its axes each group keeps.
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
    """Cut an order of the tokens into groups, and share a budget of parameters out among them.

    Args:
        table: W, shape ``(V, H)``.
        weights: p, shape ``(V,)``, not negative.
        order: Token ids, those of the first group first, shape ``(V,)``.
        sizes: Tokens of each group.
        budget: Numbers that all factors may hold together.
    """
    group = torch.empty(len(order), dtype=torch.int64)
    group[order] = torch.repeat_interleave(torch.tensor(sizes))
    axes = _axes_of(table, weights, group, len(sizes))
    return Groups(group, axes, share_ranks([part.energies for part in axes], sizes, budget))


def share_ranks(energies: Sequence[torch.Tensor], sizes: Sequence[int], budget: int) -> list[int]:
    """Ranks by importance: the next axis goes where it takes away the most weighted error per parameter.

    Args:
        energies: What each axis of a group takes away, largest first, shapes ``(H,)``.
        sizes: Tokens V_g of each group.
        budget: Numbers that all factors may hold together: Σ r_g (V_g + H) is at most this.

    Returns:
        A rank of 1 or more, and at most min(V_g, H), for each group.

    Raises:
        ValueError: If the budget has no room for rank 1 everywhere.
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
    # Within a group the energies fall, so this order takes its axes one after another.
    for _, negative in sorted(gains, reverse=True):
        if prices[-negative] <= left:
            ranks[-negative] += 1
            left -= prices[-negative]
    return ranks


def refine(table: torch.Tensor, weights: torch.Tensor, groups: Groups, rounds: int) -> Groups:
    """Regroup the tokens and fit the axes anew, in turn; neither step can raise the weighted error.

    Args:
        table: W, shape ``(V, H)``.
        weights: p, shape ``(V,)``.
        groups: Where to start; sizes and ranks stay as they are.
        rounds: How often at most; it ends before where no exchange of tokens gains anything.
    """
    for _ in range(rounds):
        group = exchange(_costs(table, weights, groups), groups.group)
        if torch.equal(group, groups.group):
            break
        groups = Groups(group, _axes_of(table, weights, group, len(groups.ranks)), groups.ranks)
    return groups


def exchange(costs: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """Swap tokens between groups, two groups at a time, as long as that lowers the sum of their costs.

    For two groups the outcome is the best of all partitions of their tokens into groups of these sizes: the tokens that
    gain most by leaving one change places with those that gain most by leaving the other.

    Args:
        costs: What each token costs in each group, shape ``(V, G)``.
        group: Group of each token, shape ``(V,)``; it is not changed.

    Returns:
        The new group of each token; every group is as large as before.
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
    members = [(group == number).nonzero().squeeze(1) for number in range(count)]
    return [principal_axes(table[ids.to(table.device)], weights[ids]) for ids in members]


def _costs(table: torch.Tensor, weights: torch.Tensor, groups: Groups) -> torch.Tensor:
    """Weighted squared error of each token in each group, shape ``(V, G)``."""
    bases = [axes.axes[:rank] for axes, rank in zip(groups.axes, groups.ranks, strict=True)]
    missed = []
    for rows in float64_blocks(table):
        kept = torch.stack([(rows @ basis.T).square().sum(dim=1) for basis in bases], dim=1)
        missed.append((rows.square().sum(dim=1, keepdim=True) - kept).clamp(min=0))
    return weights.unsqueeze(1) * torch.cat(missed)
