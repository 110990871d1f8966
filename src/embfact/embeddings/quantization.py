"""Matrices as whole numbers of few bits: groups of a row share a scale and a zero point, found by search.

A number is (code - zero point) times scale. Codes and zero points are 0 to 2^bits - 1, in uint8; those of fewer than 8
bits are packed with the first in the lowest bits. Scales are float16. Groups lie along the last axis. This is the
layout of ONNX Runtime's GatherBlockQuantized.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

from embfact.embeddings.layout import Storage, packed_bytes

# Shares of a group's range to try: numbers outside are clipped, and the others get a finer scale. With 8 bits clipping
# hardly ever pays (docs/results/storage.md).
_CLIPS = {8: (1.0, 0.98, 0.95), 4: (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5)}
_BLOCK = 2**18  # numbers that are searched at a time: small enough for the processor's cache


class Quantized(NamedTuple):
    """The rows of a matrix.

    Attributes:
        codes: uint8, shape ``(..., packed D)``.
        scales: float16, shape ``(..., groups)``.
        zero_points: uint8, shape ``(..., packed groups)``. None in checkpoints from before there were groups, whose
            codes are symmetric (int8, or int4 with 8 for zero) and whose scales are float32, shape ``(...)``.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    zero_points: torch.Tensor | None


def quantize(weight: torch.Tensor, storage: Storage) -> Quantized:
    """The codes, scales and zero points of rows ``(..., D)`` that have the least squared error among the tried clips.

    Without clipping no number is further than half a scale from its restored value. Scales are rounded up to float16,
    so that this holds for the smallest numbers too: those far below 2^-24 become zero, as in float16.
    """
    width = weight.shape[-1]
    size, groups = storage.group_size(width), storage.groups(width)
    rows = weight.detach().reshape(-1, width)
    parts = []
    for block in rows.split(max(1, _BLOCK // max(1, width))):
        # Every range contains zero, so filling the last group with it changes nothing.
        numbers = functional.pad(block.float(), (0, groups * size - width)).unflatten(-1, (groups, size))
        scale, zero = _search(numbers, storage.bits)
        codes = _codes(numbers, scale, zero, storage.bits).to(torch.uint8).flatten(-2)[:, :width]
        zeros = zero.squeeze(-1).to(torch.uint8)
        parts.append((pack(codes, storage.bits), scale.squeeze(-1).half(), pack(zeros, storage.bits)))
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
    zero_points = torch.zeros(count, packed_bytes(groups, storage.bits), dtype=torch.uint8, device=device)
    return Quantized(codes, scales, zero_points)


def dequantize(kept: Quantized, storage: Storage, width: int) -> torch.Tensor:
    """The rows, shape ``(..., D)``, in float32."""
    bits, size, groups = storage.bits, storage.group_size(width), storage.groups(width)
    if kept.zero_points is None:
        zeros = kept.scales.new_full((1,), 0 if kept.codes.dtype == torch.int8 else 2 ** (bits - 1))
    else:
        zeros = unpack(kept.zero_points, bits, groups).unsqueeze(-1).float()
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


def _search(numbers: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales, float16 values in float32, and zero points of groups ``(..., size)``, shapes ``(..., 1)``."""
    steps = 2**bits - 1
    low, high = numbers.amin(-1, keepdim=True).clamp(max=0), numbers.amax(-1, keepdim=True).clamp(min=0)
    center, half = (low + high) / 2, (high - low) / 2
    best: tuple[torch.Tensor, ...] = ()
    scratch = torch.empty_like(numbers)
    for clip in _CLIPS[bits]:
        scale = _up_to_float16(2 * half * clip / steps)
        zero = ((half * clip - center) * _inverse(scale)).round_().clamp_(0, steps)
        back = _codes(numbers, scale, zero, bits, out=scratch).sub_(zero).mul_(scale)
        found = back.sub_(numbers).square_().sum(-1, keepdim=True), scale, zero
        better = found[0] < best[0] if best else None
        best = found if better is None else tuple(map(torch.where, (better,) * 3, found, best))
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
    """Codes ``(..., D)`` in bytes ``(..., ⌈D bits / 8⌉)``, the first in the lowest bits."""
    if bits == 8:
        return codes
    share = 8 // bits
    parts = functional.pad(codes, (0, -codes.shape[-1] % share)).unflatten(-1, (-1, share)).unbind(-1)
    packed = torch.zeros_like(parts[0])
    for place, part in enumerate(parts):
        packed |= part << (place * bits)
    return packed


def unpack(packed: torch.Tensor, bits: int, count: int) -> torch.Tensor:
    """The first ``count`` codes ``(..., count)`` of bytes."""
    if bits == 8:
        return packed
    parts = [(packed >> shift) & (2**bits - 1) for shift in range(0, 8, bits)]
    return torch.stack(parts, dim=-1).flatten(-2)[..., :count]
