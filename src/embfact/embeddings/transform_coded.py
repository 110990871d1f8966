"""A rotated table whose numbers have as many bits as they are worth: none for most, several for a few."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from embfact.embeddings.base import TokenEmbedding
from embfact.embeddings.layout import LEVELS, PAD_BYTES, TIER_BITS
from embfact.embeddings.quantization import pack, unpack
from embfact.embeddings.rows import Rows
from embfact.embeddings.trellis import MEMORY, first_level, subsets


class TransformCodedEmbedding(TokenEmbedding):
    """Rows (s_t ∘ levels of the codes) R + mean, where the tier t of a token says how many bits each axis has.

    The codes of a token are one string of bits: for each axis in use, weakest first, the bit that enters the shift
    register of the trellis (`embfact.embeddings.trellis`), then the others of each axis, lowest first. All rows follow
    each other without a gap, those of a tier by id. A lookup reads only the bits of its tokens.

    Scales, levels, rotation and mean train; the codes are fixed. They belong to all tokens: gradients from padding
    positions are masked, and the padding vector moves with the others.

    Args:
        num_embeddings: Vocabulary size V.
        embedding_dim: Width H of the vectors.
        axes: Rows K of the rotation, at most H.
        tiers: Number T of tiers, 1 to 8.
        code_bytes: Bytes of all codes.
        padding_idx: Id that sends no gradient, or None; negative counts from the end.

    Attributes:
        rotation: R, ``K x H``, the strongest axis first.
        scales: s, shape ``(T, K)``.
        levels: Levels of normal numbers for 1 to 8 bits, one after another, shape ``(1020,)``.
        mean: Shape ``(H,)``.
        codes: Bits of all rows, uint8, with `PAD_BYTES` more around them.
        tier: Tier of each token, a plane for each of its bits, packed, uint8, shape ``(3, ⌈V / 8⌉)``.
        allocation: Bits of each axis in each tier, 0 to 8, two in a byte, uint8, shape ``(T, ⌈K / 2⌉)``.
    """

    projection_parts = ("rotation", "scales", "levels", "mean")
    codes: torch.Tensor
    tier: torch.Tensor
    allocation: torch.Tensor
    starts: torch.Tensor

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        axes: int,
        tiers: int,
        code_bytes: int,
        padding_idx: int | None = None,
    ):
        if not 1 <= axes <= embedding_dim:
            raise ValueError(f"axes must be 1 to {embedding_dim}, the columns (found {axes})")
        if not 1 <= tiers <= 2**TIER_BITS:
            raise ValueError(f"tiers must be 1 to {2**TIER_BITS} (found {tiers})")
        super().__init__(num_embeddings, embedding_dim, padding_idx)
        self.axes, self.tiers, self.code_bytes = axes, tiers, code_bytes
        self.rotation = Rows(axes, embedding_dim)
        self.scales = nn.Parameter(torch.zeros(tiers, axes))
        self.levels = nn.Parameter(torch.zeros(LEVELS))
        self.mean = nn.Parameter(torch.zeros(embedding_dim))
        self.register_buffer("codes", torch.zeros(code_bytes + PAD_BYTES, dtype=torch.uint8))
        self.register_buffer("tier", torch.zeros(TIER_BITS, -(-num_embeddings // 8), dtype=torch.uint8))
        self.register_buffer("allocation", torch.zeros(tiers, -(-axes // 2), dtype=torch.uint8))
        self.register_buffer("starts", torch.zeros(num_embeddings, dtype=torch.int64), persistent=False)

    @classmethod
    def from_codes(
        cls,
        strings: torch.Tensor,
        tier: torch.Tensor,
        allocation: torch.Tensor,
        scales: torch.Tensor,
        levels: torch.Tensor,
        rotation: torch.Tensor,
        mean: torch.Tensor,
        padding_idx: int | None = None,
    ) -> TransformCodedEmbedding:
        """A module of the given codes, in the dtype and on the device of the rotation.

        Args:
            strings: Bits of all rows, packed with the first in the lowest place, uint8, 1-d.
            tier: Tier of each token, 0 to 7, shape ``(V,)``.
            allocation: Bits of each axis in each tier, 0 to 8, shape ``(T, K)``.
            scales: Shape ``(T, K)``.
            levels: As `normal_levels`.
            rotation: R, shape ``(K, H)``.
            mean: Shape ``(H,)``.
            padding_idx: As in `torch.nn.Embedding`.
        """
        axes, width = rotation.shape
        module = cls(len(tier), width, axes, len(allocation), len(strings), padding_idx)
        module.rotation = Rows.of(rotation)
        module.scales, module.levels, module.mean = (nn.Parameter(part.to(rotation)) for part in (scales, levels, mean))
        planes = torch.stack([tier >> place & 1 for place in range(TIER_BITS)])
        module.codes = functional.pad(strings, (1, PAD_BYTES - 1))
        module.tier, module.allocation = pack(planes.to(torch.uint8), 1), pack(allocation.to(torch.uint8), 4)
        module._find_rows()
        return module.to(rotation.device)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Vectors ``(..., H)`` of the token ids ``(...)``."""
        return self._without_padding_gradient(self._coordinates(ids) @ self.rotation.matrix() + self.mean, ids)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores ``(..., V)`` of hidden states ``(..., H)``: rotated once, then in blocks of tokens."""
        rotated = hidden @ self.rotation.matrix().T
        scores = [rotated @ self._coordinates(ids).T for ids in self._blocks()]
        return torch.cat(scores, dim=-1) + (hidden @ self.mean).unsqueeze(-1)

    def _coordinates(self, ids: torch.Tensor) -> torch.Tensor:
        """Coordinates ``(..., K)`` of the token ids ``(...)``."""
        flat = ids.flatten().long()
        tier, start = self.tier_of(flat), self.starts.index_select(0, flat).unsqueeze(1)
        # Addresses of 31 bits suffice for codes of 256 MB and are read twice as fast.
        kind = torch.int32 if 8 * len(self.codes) < 2**31 else torch.int64
        plan = plan_of(unpack(self.allocation, 4, self.axes).long())
        plan, start = Plan(*(part.to(kind).index_select(0, tier) for part in plan)), start.to(kind)
        # The codes begin at bit 8, so the register of an axis begins at the place of its newest bit.
        register = self._read(start + plan.entered) & plan.register
        level = plan.first + 4 * (self._read(start + plan.others + 8) & plan.mask)
        level = level + subsets(ids.device).to(kind).index_select(0, register.flatten()).view_as(level)
        found = self.levels.index_select(0, level.flatten()).view_as(level) * self.scales.index_select(0, tier)
        return found.where(plan.bits > 0, 0).view(*ids.shape, self.axes)

    def tier_of(self, ids: torch.Tensor) -> torch.Tensor:
        """Tiers of token ids, shape ``(N,)``."""
        bits = self.tier.index_select(1, ids >> 3) >> (ids & 7) & 1
        return (bits.long() << torch.arange(TIER_BITS, device=ids.device).unsqueeze(1)).sum(0)

    def _read(self, address: torch.Tensor) -> torch.Tensor:
        """At least 9 bits of the codes from an address in bits on."""
        byte = (address >> 3).flatten()
        low, high = (self.codes.index_select(0, part).view_as(address).to(address.dtype) for part in (byte, byte + 1))
        return (low | high << 8) >> (address & 7)

    @torch.no_grad()
    def _find_rows(self) -> None:
        """Find where the codes of each token begin; only the tiers are saved."""
        tier = self.tier_of(torch.arange(self.num_embeddings, device=self.tier.device))
        order = tier.argsort(stable=True)
        lengths = unpack(self.allocation, 4, self.axes).sum(1).index_select(0, tier[order])
        self.starts = torch.empty_like(lengths).scatter_(0, order, lengths.cumsum(0) - lengths)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._find_rows()


class Plan(NamedTuple):
    """How to read a row of codes: for each axis of each tier, int64, shapes ``(T, K)``.

    Attributes:
        bits: Bits of the axis.
        entered: Place in the row of the bit that enters the register.
        others: Place of the first of its other bits.
        register: Which bits of the register belong to this row.
        mask: Which bits of those read belong to this axis.
        first: Where the levels of so many bits begin.
    """

    bits: torch.Tensor
    entered: torch.Tensor
    others: torch.Tensor
    register: torch.Tensor
    mask: torch.Tensor
    first: torch.Tensor


def plan_of(allocation: torch.Tensor) -> Plan:
    """The plan of an allocation, shape ``(T, K)``: axes are read from the last to the first."""
    used, more = (allocation > 0).long(), (allocation - 1).clamp(min=0)
    entered, before = (part.flip(1).cumsum(1).flip(1) - part for part in (used, more))
    register = 2 ** (MEMORY + 1) - 2 ** (MEMORY - entered).clamp(min=0)
    others = used.sum(1, keepdim=True) + before
    return Plan(allocation, entered, others, register, 2**more - 1, first_level(allocation).clamp(min=0))


def bit_strings(entered: torch.Tensor, others: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    """Rows of codes as bits, uint8, shape ``(N, Σ bits)``, in the order in which `plan_of` finds them.

    Args:
        entered: The bit of each number that enters the register, the weakest axis first, shape ``(N, A)``.
        others: The number that its other bits make, shape ``(N, A)``.
        bits: Bits of each axis, shape ``(A,)``.
    """
    axis = torch.repeat_interleave(bits - 1)
    place = torch.cat([torch.arange(count - 1) for count in bits.tolist()] or [bits])
    return torch.cat([entered, others[:, axis] >> place & 1], dim=1).to(torch.uint8)
