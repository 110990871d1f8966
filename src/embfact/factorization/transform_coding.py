"""A rotated table whose numbers get bits where a bit removes the most error: reverse water-filling."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import Field

from embfact.embeddings.layout import LEVELS, MOST_BITS, PAD_BYTES, TIER_BITS, Part, packed_bytes
from embfact.factorization.base import Evidence, EvidenceKind, Factorization

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from embfact.embeddings.transform_coded import TransformCodedEmbedding

AXES_PER_BIT = 6  # more axes than this for each bit of a token's code cost more than they bring
GROWTH = 2.5  # of a tier against the one before: the first of eight holds a thousandth of the tokens
_FACTORS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0)
_CLEAR_GAIN = 0.8  # the error of a wider scale against that of the deviation: smaller gains are those of few tokens
_BLOCK_TOKENS = 8192


class TransformCoding(Factorization):
    """W_v ~ (s_t ∘ Q(z_v)) R + mean: coordinates on principal axes, each with 0 to 8 bits.

    Transform coding with reverse water-filling (Goyal, 2001, "Theoretical Foundations of Transform Coding"). The axes R
    are those of the table weighted by the counts of its tokens. Tokens are sorted by count times squared norm and cut
    into tiers, the first small and each larger than the one before; in a tier, each axis has its own scale and number
    of bits. Bits are given one by one, each where it removes the most weighted error, so a frequent token has a long
    code and a rare one a short one on few axes. The codes are trellis-coded (`embfact.embeddings.trellis`).

    Training moves scales, levels, rotation and mean; the codes stay.
    """

    name: ClassVar[str] = "transform_coding"
    size_name: ClassVar[str] = "bits of an average token's code"
    size_is_bound: ClassVar[bool] = True
    needs: ClassVar[frozenset[EvidenceKind]] = frozenset({"token_counts"})

    tiers: int = Field(
        default=8, ge=1, le=8, description="T, groups of tokens; each is 2.5 times as large as the one before"
    )
    smoothing: float = Field(
        default=1.0,
        ge=0,
        allow_inf_nan=False,
        description="added to the count of every token, so that unseen tokens get bits for their main axes",
    )

    def layout(self, vocab_size: int, hidden_size: int, rank: int) -> tuple[Part, ...]:
        """The rotation, scales and levels, at most V r bits of codes, and which bits they are.

        Axes that no tier uses are left out, and a few bits are left over where no axis of a tier costs so little.
        """
        axes = min(hidden_size, AXES_PER_BIT * rank)
        return (
            Part(axes, hidden_size),
            Part(self.tiers, axes, "plain"),
            Part(1, LEVELS, "plain"),
            Part(1, hidden_size, "plain"),
            Part(packed_bytes(vocab_size, rank) + PAD_BYTES, 1, "index", 1),
            Part(TIER_BITS, packed_bytes(vocab_size, 1), "index", 1),
            Part(self.tiers, packed_bytes(axes, 4), "index", 1),
        )

    def rank_limit(self, vocab_size: int, hidden_size: int) -> int:
        """All bits that all axes can have."""
        return MOST_BITS * hidden_size

    def _check_options(self, vocab_size: int, hidden_size: int) -> None:
        if vocab_size < 2**self.tiers:
            most = vocab_size.bit_length() - 1
            raise ValueError(f"{vocab_size} tokens are too few for {self.tiers} tiers; use at most {most}")

    def _fit(
        self, table: torch.Tensor, rank: int, evidence: Evidence | None, padding_idx: int | None, seed: int
    ) -> TransformCodedEmbedding:
        import torch

        from embfact.embeddings.transform_coded import TransformCodedEmbedding
        from embfact.embeddings.trellis import normal_levels
        from embfact.factorization.decomposition import project
        from embfact.factorization.decomposition_cache import decompose
        from embfact.factorization.token_counts import checked_counts

        vocab_size, hidden_size = table.shape
        counts = checked_counts(evidence, vocab_size, self.name)
        weights = (counts + self.smoothing) / (counts + self.smoothing).sum()
        axes = decompose(table, weights, center=True).axes
        most = min(hidden_size, AXES_PER_BIT * rank)
        rows = project(table, axes, 0, most)[:, :most].float()

        sizes = tier_sizes(vocab_size, self.tiers)
        energies = weights * rows.double().square().sum(1)
        if padding_idx is not None:
            energies[padding_idx] = -1  # nothing attends to its vector
        tier = torch.empty(vocab_size, dtype=torch.int64)
        tier[energies.argsort(descending=True, stable=True)] = torch.repeat_interleave(torch.tensor(sizes))
        members = [(tier == number).nonzero().squeeze(1) for number in range(self.tiers)]
        variances = torch.stack([rows[ids].double().square().mean(0) for ids in members])
        worth = torch.stack([weights[ids].mean() for ids in members]).unsqueeze(1) * variances
        allocation = allocate(worth, sizes, vocab_size * rank)
        used = allocation.any(0)
        used[0] = True  # also for a table whose rows are all equal
        allocation, deviations, levels = allocation[:, used], variances[:, used].sqrt(), normal_levels()
        strings, scales = code(rows[:, used], members, allocation, deviations, levels)
        rotation, mean = axes.axes[:most][used].to(table), cast("torch.Tensor", axes.mean).to(table, copy=True)
        parts = strings, tier, allocation, scales, levels, rotation, mean
        return TransformCodedEmbedding.from_codes(*parts, padding_idx)


def tier_sizes(vocab_size: int, tiers: int) -> list[int]:
    """Sizes of tiers of V tokens, each about `GROWTH` times as large as the one before, and 1 at least."""
    ends = [round(vocab_size * (GROWTH**tier - 1) / (GROWTH**tiers - 1)) for tier in range(tiers + 1)]
    ends = [max(end, tier) for tier, end in enumerate(ends)]
    return [end - start for start, end in pairwise(ends)]


def allocate(worth: torch.Tensor, sizes: Sequence[int], budget: int) -> torch.Tensor:
    """Bits for each axis of each tier: one after another, each where it removes the most weighted error.

    Errors fall convexly with the bits (`DISTORTION`), so this is the best there is, up to the last bit of a tier.

    Args:
        worth: Weighted variance of the numbers of a tier on an axis, shape ``(T, K)``.
        sizes: Tokens of each tier.
        budget: Bits of all codes together.

    Returns:
        0 to 8, int64, shape ``(T, K)``.
    """
    import torch

    from embfact.embeddings.trellis import DISTORTION

    removed = -torch.tensor(DISTORTION, dtype=torch.float64).diff()
    gains = (worth.unsqueeze(2) * removed).flatten()
    order = gains.argsort(descending=True, stable=True)[: int((gains > 0).sum())]
    allocation, left = [0] * worth.numel(), budget
    for number, bit in zip((order // MOST_BITS).tolist(), (order % MOST_BITS).tolist(), strict=True):
        size = sizes[number // worth.shape[1]]
        # Where one did not fit, the next one, which is worth less, is not given either.
        if size <= left and allocation[number] == bit:
            allocation[number] += 1
            left -= size
    return torch.tensor(allocation).view(worth.shape)


def code(
    rows: torch.Tensor,
    members: Sequence[torch.Tensor],
    allocation: torch.Tensor,
    deviations: torch.Tensor,
    levels: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes of rotated rows, of the least squared error that the scales allow, and scales that fit these codes.

    Args:
        rows: Numbers of the tokens on the axes, shape ``(V, K)``.
        members: Ids of the tokens of each tier, ascending.
        allocation: Bits of each axis in each tier, shape ``(T, K)``.
        deviations: Root mean square of the numbers, shape ``(T, K)``.
        levels: As `normal_levels`.

    Returns:
        The bits of all rows, tier after tier, packed, and the scales, shape ``(T, K)``.
    """
    import torch

    from embfact.embeddings.quantization import pack
    from embfact.embeddings.transform_coded import bit_strings
    from embfact.embeddings.trellis import first_level, search

    strings, scales = [], deviations.clone()
    for number, (ids, bits) in enumerate(zip(members, allocation, strict=True)):
        used = bits.nonzero().squeeze(1).flip(0)
        counts = bits[used]
        start = widen(rows[ids][:, used].double(), counts, deviations[number, used], levels)
        product, energy = torch.zeros(2, len(used), dtype=torch.float64)
        for block in ids.split(_BLOCK_TOKENS):
            numbers = rows[block][:, used]
            entered, chosen = search(numbers, counts.tolist(), start, levels)
            strings.append(bit_strings(entered, chosen // 4, counts).flatten())
            reached = levels[first_level(counts) + chosen]
            product += (numbers * reached).sum(0)
            energy += reached.square().sum(0)
        scales[number, used] = torch.where(product > 0, product / energy, start)
    return pack(torch.cat(strings), 1), scales


def widen(numbers: torch.Tensor, bits: torch.Tensor, deviations: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """Scales of axes, shape ``(A,)``: of some multiples of the deviations, those that suit the numbers ``(N, A)`` best.

    Normal numbers need none; a few far larger ones in a tier do. The error is that of one level for each code, each
    halfway between two of the trellis.
    """
    import torch

    from embfact.embeddings.trellis import first_level

    scales = deviations.clone()
    for count in set(bits.tolist()):
        axes = (bits == count).nonzero().squeeze(1)
        start = first_level(count)
        middle = levels[start : start + 2 ** (count + 1)].view(-1, 2).mean(1)
        errors = []
        for factor in _FACTORS:
            scaled = numbers[:, axes] / (factor * deviations[axes])
            nearest = middle[torch.bucketize(scaled, (middle[1:] + middle[:-1]) / 2)]
            errors.append((scaled - nearest).square().mean(0) * factor**2)
        errors[0] *= _CLEAR_GAIN
        scales[axes] *= torch.tensor(_FACTORS, dtype=scales.dtype)[torch.stack(errors).argmin(0)]
    return scales
