"""Attention with dropout on a CPU, a few sequences at a time.

torch's fast CPU kernel has no dropout; with dropout, the scores of the whole batch are written to memory and read back
several times. Here, long batches are split into parts that fit into the cache, and the scores of a part are recomputed
for the gradients instead of stored (as Dao et al., FlashAttention, NeurIPS 2022, do on GPUs).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from embfact.kernels.dropout import keep_mask

NAME = "embfact"  # of the implementation, among those of transformers
SCORES_AT_ONCE = 1 << 20  # 4 MB of float32


def attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it.

    Args:
        module: The attention module.
        query: Shape ``(b, heads, t, d)``.
        key: Shape ``(b, heads, s, d)``.
        value: Shape ``(b, heads, s, d)``.
        attention_mask: True where a position may be seen, broadcast to ``(b, heads, t, s)``; None: everywhere.
        dropout: Probability that a weight is dropped.
        scaling: Factor of the scores; None: ``d ** -0.5``.
        options: Further options of transformers; any that changes the result is left to its own implementation.

    Returns:
        Shape ``(b, t, heads, d)``, and no weights.
    """
    if not dropout or not _is_plain(module, query, key, attention_mask, options):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    batch, heads, length, _ = query.shape
    at_once = max(1, SCORES_AT_ONCE // (heads * length * key.shape[2]))
    if at_once >= batch:
        out = _attend(query, key, value, attention_mask, dropout)
    else:
        parts = [slice(start, start + at_once) for start in range(0, batch, at_once)]
        shared = attention_mask is None or len(attention_mask) == 1
        masks = [attention_mask if shared or attention_mask is None else attention_mask[p] for p in parts]
        outs = [
            checkpoint(_attend, query[p], key[p], value[p], mask, dropout, use_reentrant=False)
            for p, mask in zip(parts, masks, strict=True)
        ]
        out = torch.cat(outs)
    return out.transpose(1, 2).contiguous(), None


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, p: float
) -> torch.Tensor:
    scores = query @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    stay, scale = keep_mask(scores.shape, p)
    return (scores.softmax(dim=-1) * stay) @ (value * scale)


def _is_plain(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, options: dict[str, Any]
) -> bool:
    """Whether this is the bidirectional attention of an encoder in float32, with as many keys as queries, no extras."""
    causal = options.get("is_causal") or (options.get("is_causal") is None and getattr(module, "is_causal", False))
    extras = any(options.get(name) is not None for name in ("position_bias", "softcap", "cache"))
    masked = mask is None or mask.dtype == torch.bool
    return query.dtype == torch.float32 and query.shape[1] == key.shape[1] and masked and not (causal or extras)


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
