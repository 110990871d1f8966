"""Matrices as whole numbers of few bits: groups of a row share a scale and a zero point, found by search.

A number is (code - zero point) times scale. Codes are 0 to 2^bits - 1 and packed into bytes, the first in the lowest
bits. Zero points are packed like codes; in int2 and int3 they have four bits, and count quarters and halves of a step:
with so few codes the best grid often has no code for zero, but two on either side. Scales are float16. Groups lie along
the last axis. In int8 and int4 this is the layout of ONNX Runtime's GatherBlockQuantized, which knows no other bits.
"""

from __future__ import annotations

from itertools import product
from math import lcm
from typing import NamedTuple

import torch
from torch.nn import functional

from embfact.embeddings.layout import Storage, packed_bytes

# Shares of a group's range to try: numbers outside are clipped, and the others get a finer scale. With 8 bits clipping
# hardly ever pays, with 2 it always does (docs/results/storage.md).
_CLIPS = {
    8: (1.0, 0.98, 0.95),
    6: (1.0, 0.98, 0.96, 0.93, 0.9, 0.86, 0.82, 0.78, 0.74, 0.7),
    4: (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5),
    3: (1.0, 0.94, 0.87, 0.81, 0.75, 0.68, 0.62, 0.55, 0.49, 0.43, 0.36, 0.3),
    2: (1.0, 0.93, 0.85, 0.78, 0.71, 0.64, 0.56, 0.49, 0.42, 0.35, 0.27, 0.2),
}
# Then scales that differ from the best one by these factors, each with the zero points beside the best one. Codes that
# came before the others are searched as they were: about the middle of the range, and no further.
_FACTORS: dict[int, tuple[float, ...]] = {
    8: (),
    6: (1.015, 1.008, 1.004),
    4: (),
    3: (1.12, 1.06, 1.03, 1.015),
    2: (1.12, 1.06, 1.03, 1.015),
}
_BLOCK = 2**18  # numbers that are searched at a time: small enough for the processor's cache


class Quantized(NamedTuple):
    """The rows of a matrix.

    Attributes:
        codes: uint8, shape ``(..., packed D)``.
        scales: float16, shape ``(..., groups)``.
        zero_points: uint8, shape ``(..., packed groups)``, in units of `Storage.zero_step`. None in checkpoints from
            before there were groups, whose codes are symmetric (int8, or int4 with 8 for zero) and whose scales are
            float32, shape ``(...)``.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    zero_points: torch.Tensor | None


def quantize(weight: torch.Tensor, storage: Storage) -> Quantized:
    """The codes, scales and zero points of rows ``(..., D)`` that have the least squared error of those tried.

    Numbers that are not clipped are no further than half a scale from their restored values. The scale of a whole range
    is rounded up to float16, so that it holds for the smallest numbers too: those far below 2^-24 become zero, as in
    float16.
    """
    width = weight.shape[-1]
    size, groups = storage.group_size(width), storage.groups(width)
    rows = weight.detach().reshape(-1, width)
    parts = []
    for block in rows.split(max(1, _BLOCK // max(1, width))):
        # Every range contains zero, so filling the last group with it leaves the range as it is.
        numbers = functional.pad(block.float(), (0, groups * size - width)).unflatten(-1, (groups, size))
        scale, zero = _search(numbers, storage, groups * size - width)
        codes = _codes(numbers, scale, zero, storage.bits).to(torch.uint8).flatten(-2)[:, :width]
        zeros = (zero / storage.zero_step).squeeze(-1).to(torch.uint8)
        parts.append((pack(codes, storage.bits), scale.squeeze(-1).half(), pack(zeros, storage.zero_bits)))
    lead = weight.shape[:-1]
    return Quantized(*(torch.cat(part).reshape(*lead, part[0].shape[-1]) for part in zip(*parts, strict=True)))


def all_zero(count: int, width: int, storage: Storage, device: torch.device) -> Quantized:
    """Rows of zeros, ``count`` times ``width``, in the shapes and dtypes of a storage."""
    groups = storage.groups(width)
    codes = torch.zeros(count, packed_bytes(width, storage.bits), dtype=torch.uint8, device=device)
    if storage.group is None:
        kind = torch.int8 if storage.bits == 8 else torch.uint8
        return Quantized(codes.to(kind), torch.zeros(count, device=device), None)
    scales = torch.zeros(count, groups, dtype=torch.float16, device=device)
    zero_points = torch.zeros(count, packed_bytes(groups, storage.zero_bits), dtype=torch.uint8, device=device)
    return Quantized(codes, scales, zero_points)


def dequantize(kept: Quantized, storage: Storage, width: int) -> torch.Tensor:
    """The rows, shape ``(..., D)``, in float32."""
    bits, size, groups = storage.bits, storage.group_size(width), storage.groups(width)
    if kept.zero_points is None:
        zeros = kept.scales.new_full((1,), 0 if kept.codes.dtype == torch.int8 else 2 ** (bits - 1))
    else:
        zeros = unpack(kept.zero_points, storage.zero_bits, groups).unsqueeze(-1).float().mul_(storage.zero_step)
    codes = unpack(kept.codes, bits, width)
    if short := groups * size - width:
        codes = functional.pad(codes, (0, short))
    scales = kept.scales.float().reshape(*codes.shape[:-1], groups, 1)
    rows = codes.unflatten(-1, (groups, size)).float().sub_(zeros).mul_(scales).flatten(-2)
    return rows[..., :width] if short else rows


def imitate(rows: torch.Tensor, storage: Storage) -> torch.Tensor:
    """Rows as they will be once stored, with the gradient of the rows themselves (straight-through estimator).

    Bengio, Léonard and Courville (2013), "Estimating or Propagating Gradients Through Stochastic Neurons".
    """
    with torch.no_grad():
        if storage.quantized:
            stored = dequantize(quantize(rows, storage), storage, rows.shape[-1]).to(rows.dtype)
        else:
            stored = rows.half().to(rows.dtype) if storage.format == "float16" else rows
    return rows + (stored - rows).detach()


def _search(numbers: torch.Tensor, storage: Storage, filled: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The best scales and zero points of groups ``(..., groups, size)``, shapes ``(..., groups, 1)``.

    Args:
        numbers: The numbers in float32.
        storage: The format.
        filled: Numbers at the end of the last group that only fill it.

    Returns:
        Scales, float16 values in float32, and zero points in steps.
    """
    steps, unit, most = 2**storage.bits - 1, storage.zero_step, (2**storage.zero_bits - 1) * storage.zero_step
    scratch = torch.empty_like(numbers)
    best: tuple[torch.Tensor, ...] = ()

    def attempt(scale: torch.Tensor, zero: torch.Tensor) -> None:
        nonlocal best
        zero = (zero / unit).round_().mul_(unit).clamp_(0, most)
        lost = _codes(numbers, scale, zero, storage.bits, out=scratch).sub_(zero).mul_(scale).sub_(numbers)
        if filled:
            lost[..., -1, -filled:] = 0
        found = lost.square_().sum(-1, keepdim=True), scale, zero
        better = found[0] < best[0] if best else None
        best = found if better is None else tuple(map(torch.where, (better,) * 3, found, best))

    low, high = numbers.amin(-1, keepdim=True).clamp(max=0), numbers.amax(-1, keepdim=True).clamp(min=0)
    center, half = (low + high) / 2, (high - low) / 2
    factors = _FACTORS[storage.bits]
    for clip in _CLIPS[storage.bits]:
        scale = _up_to_float16(2 * half * clip / steps)
        attempt(scale, (half * clip - (center * clip if factors else center)) * _inverse(scale))
    for factor in factors:
        _, scale, zero = best
        for times, aside in product((1 / factor, 1.0, factor), (-unit, 0.0, unit)):
            attempt((scale * times).half().float(), zero + aside)
    return best[1], best[2]


def _codes(
    numbers: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor, bits: int, out: torch.Tensor | None = None
) -> torch.Tensor:
    """The nearest codes, in float32."""
    return torch.mul(numbers, _inverse(scale), out=out).add_(zero).round_().clamp_(0, 2**bits - 1)


def _inverse(scale: torch.Tensor) -> torch.Tensor:
    """One over the scale; 0 for the scale 0 of a group of zeros."""
    return torch.where(scale > 0, scale.reciprocal(), 0)


def _up_to_float16(positive: torch.Tensor) -> torch.Tensor:
    """The smallest float16 that is not below a number, in float32."""
    near = positive.half()
    # Positive floating-point numbers are ordered like their bits.
    above = (near.view(torch.int16) + 1).view(torch.float16)
    return torch.where(near.float() < positive, above, near).float()


def pack(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """Codes ``(..., D)`` in bytes ``(..., ⌈D bits / 8⌉)``, the first in the lowest bits.

    Bits are one stream, as in ``numpy.packbits(..., bitorder="little")``: eight codes of three bits take three bytes.
    """
    if bits == 8:
        return codes
    share, word = _words(bits)
    parts = functional.pad(codes, (0, -codes.shape[-1] % share)).unflatten(-1, (-1, share)).to(word).unbind(-1)
    packed = torch.zeros_like(parts[0])
    for place, part in enumerate(parts):
        packed |= part << (place * bits)
    taken = [(packed >> shift & 255).to(torch.uint8) for shift in range(0, share * bits, 8)]
    return torch.stack(taken, dim=-1).flatten(-2)[..., : packed_bytes(codes.shape[-1], bits)]


def unpack(packed: torch.Tensor, bits: int, count: int) -> torch.Tensor:
    """The first ``count`` codes ``(..., count)`` of bytes."""
    if bits == 8:
        return packed
    share, word = _words(bits)
    size = share * bits // 8
    whole = functional.pad(packed, (0, -packed.shape[-1] % size)).unflatten(-1, (-1, size)).to(word)
    words = whole[..., 0].clone()
    for place in range(1, size):
        words |= whole[..., place] << (8 * place)
    parts = [(words >> shift & 2**bits - 1).to(torch.uint8) for shift in range(0, share * bits, bits)]
    return torch.stack(parts, dim=-1).flatten(-2)[..., :count]


def _words(bits: int) -> tuple[int, torch.dtype]:
    """The fewest codes that fill whole bytes, and a type that holds them: one byte, or three."""
    share = lcm(bits, 8) // bits
    return share, torch.uint8 if share * bits == 8 else torch.int32
