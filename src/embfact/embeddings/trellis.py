"""Trellis-coded scalar quantization: short codes whose meaning depends on the codes before them.

Marcellin and Fischer (1990), "Trellis Coded Quantization of Memoryless and Gauss-Markov Sources". A number of b bits
has 2^(b+1) levels, twice as many as its bits can tell apart, in four interleaved subsets. One of the bits enters a
shift register; the register tells the subset, and the b - 1 others the level in it. The bits of a whole row are chosen
together, by the Viterbi algorithm: on normal numbers this closes more than half of the gap, in decibels, between one
level for each code (Lloyd-Max) and the rate-distortion bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch

Bits = TypeVar("Bits", int, torch.Tensor)

MEMORY = 8  # bits of the register before the newest: 256 states
# Parity checks of Ungerboeck's code of 256 states for amplitudes (1982, "Channel Coding with Multilevel/Phase Signals",
# table I; octal 515 and 362), with the oldest bit in the lowest place.
_CHECKS = (0b101100101, 0b010011110)
_DEVIATIONS = (1.0, 1.22, 1.34, 1.42, 1.5, 1.55, 1.6, 1.62)
DISTORTION = (1.0, 0.279, 0.0793, 0.0217, 0.00582, 0.00150, 0.000386, 0.000098, 0.0000245)
"""Mean squared error of numbers of variance 1 after 0, 1, ... bits, as `search` reaches it on normal ones."""
_BLOCK = 256  # rows that are searched together: their states fit into the processor's cache


def subsets(device: torch.device) -> torch.Tensor:
    """Subset 0 to 3 of each content of the register, the oldest bit in the lowest place; shape ``(512,)``."""
    windows = torch.arange(2 ** (MEMORY + 1), device=device)
    places = torch.arange(MEMORY + 1, device=device)
    high, low = (((windows & check).unsqueeze(1) >> places & 1).sum(1) % 2 for check in _CHECKS)
    return 2 * high + low


def first_level(bits: Bits) -> Bits:
    """Where the levels of b bits begin in `normal_levels`."""
    return 2 ** (bits + 1) - 4


def normal_levels() -> torch.Tensor:
    """Levels for normal numbers of 1 to `MOST_BITS` bits, one after another, float64.

    Those of b bits are quantiles of a normal distribution of the deviation that has the least error (`DISTORTION`).
    Many levels are best as dense as the cube root of the density, which is the deviation √3 (Panter and Dite, 1951);
    fewer are narrower.
    """
    parts = []
    for bits, deviation in enumerate(_DEVIATIONS, start=1):
        count = 2 ** (bits + 1)
        shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        parts.append(deviation * torch.special.ndtri(shares))
    return torch.cat(parts)


def search(
    values: torch.Tensor, bits: Sequence[int], scales: torch.Tensor, levels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The codes of rows whose squared error is least among all codes (Viterbi, 1967).

    Args:
        values: Rows in the order in which the register reads them, shape ``(N, A)``.
        bits: Bits of each column, 1 or more, A of them.
        scales: What the levels of each column are multiplied by, positive, shape ``(A,)``.
        levels: As `normal_levels`, those of each number of bits ascending.

    Returns:
        The bit of each number that enters the register, and the number of its level among those of its number of bits;
        shapes ``(N, A)``, int64.
    """
    subset = subsets(values.device)
    levels = levels.to(values.device, torch.float32)
    tables = {}
    for count in set(bits):
        start = first_level(count)
        table = levels[start : start + 2 ** (count + 1)].view(-1, 4).T.contiguous()
        tables[count] = table, (table[:, 1:] + table[:, :-1]).div_(2)
    found = [
        _search_block(block.T.to(torch.float32), bits, scales.to(values.device, torch.float32), tables, subset)
        for block in values.split(_BLOCK)
    ]
    entered, chosen = (torch.cat(part, dim=1).T for part in zip(*found, strict=True))
    return entered, chosen


def _search_block(
    columns: torch.Tensor,
    bits: Sequence[int],
    scales: torch.Tensor,
    tables: dict[int, tuple[torch.Tensor, torch.Tensor]],
    subset: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`search` for ``(A, N)`` numbers."""
    states, (steps, rows) = 2**MEMORY, columns.shape
    oldest = subset[0::2], subset[1::2]  # of windows with a 0 and with a 1 in the lowest place
    cost = columns.new_full((states, rows), torch.inf)
    cost[0] = 0
    left = torch.empty(steps, states, rows, dtype=torch.bool, device=columns.device)
    nearest = torch.empty(steps, 4, rows, dtype=torch.int64, device=columns.device)
    for step in range(steps):
        table, between = tables[bits[step]]
        numbers = (columns[step] / scales[step]).expand(4, rows).contiguous()
        place = torch.searchsorted(between, numbers) if between.shape[1] else torch.zeros_like(nearest[step])
        nearest[step] = place
        error = (table.gather(1, place) - numbers).mul_(scales[step]).square_()
        # Window 2s + x leads from state 2s + x, modulo their number, to state s.
        before = cost.view(1, states // 2, 2, rows).expand(2, -1, -1, -1)
        zero, one = (
            error.index_select(0, part).view(2, -1, rows).add_(before[:, :, bit]).view(states, rows)
            for bit, part in enumerate(oldest)
        )
        torch.lt(one, zero, out=left[step])
        cost = torch.minimum(zero, one)
    state = cost.argmin(0)
    entered, chosen = (torch.empty(steps, rows, dtype=torch.int64, device=columns.device) for _ in range(2))
    for step in range(steps - 1, -1, -1):
        window = 2 * state + left[step].gather(0, state.unsqueeze(0)).squeeze(0)
        part = subset[window]
        entered[step] = window >> MEMORY
        chosen[step] = 4 * nearest[step].gather(0, part.unsqueeze(0)).squeeze(0) + part
        state = window & (states - 1)
    return entered, chosen
