"""A last layer that computes only what the head reads.

The classification heads of BERT-like models read the first token. So the last layer needs the query, the attention
output and the feed-forward part of that token alone. Nor does it need the keys and values of the others: with one query
q, the scores q . (K x_j) are (K^T q) . x_j, and the values summed by their weights, sum_j a_j V x_j, are V (sum_j a_j
x_j). The logits and all gradients stay the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

# Encoders built like BERT, with heads that read the first token.
_READERS = {f"{name}ForSequenceClassification" for name in ("Bert", "Roberta", "XLMRoberta", "Electra")}
# Implementations whose masks are true where a position may be seen.
_ATTENTION = {"sdpa", "embfact"}


def last_layer(model: nn.Module) -> nn.Module | None:
    """The layer of which only the first token is read; None for other models."""
    if type(model).__name__ not in _READERS or not isinstance(model, PreTrainedModel):
        return None
    if model.config._attn_implementation not in _ATTENTION or model.config.is_decoder:
        return None
    encoder: Any = model.base_model
    return encoder.encoder.layer[-1]


def forward(
    layer: Any, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, *_: Any, **__: Any
) -> torch.Tensor:
    """Replacement of the layer's own ``forward`` for the first token.

    Args:
        layer: A ``BertLayer`` or similar.
        hidden_states: Shape ``(b, t, H)``.
        attention_mask: Shape ``(b, 1, t, t)``, or None.

    Returns:
        Shape ``(b, 1, H)``.
    """
    first = hidden_states[:, :1]
    seen = _attend(layer.attention.self, first.squeeze(1), hidden_states, attention_mask)
    attended = layer.attention.output(seen.unsqueeze(1), first)
    return layer.output(layer.intermediate(attended), attended)


def _attend(attention: Any, first: torch.Tensor, tokens: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The attention output of the first token, of shape ``(b, H)``, over all tokens, of shape ``(b, t, H)``."""
    size = attention.attention_head_size
    query = attention.query(first).unflatten(-1, (-1, size)) * attention.scaling  # (b, heads, d)
    key, value = (layer.weight.unflatten(0, (-1, size)) for layer in (attention.key, attention.value))  # (heads, d, H)
    pulled = (query.transpose(0, 1) @ key).transpose(0, 1)  # (b, heads, H)
    scores = pulled @ tokens.transpose(1, 2) + (query * attention.key.bias.view(-1, size)).sum(-1, keepdim=True)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, 0, :1], float("-inf"))
    weights = attention.dropout(scores.softmax(dim=-1))
    mixed = (weights @ tokens).transpose(0, 1)  # (heads, b, H)
    seen = (mixed @ value.transpose(1, 2)).transpose(0, 1)
    return (seen + weights.sum(-1, keepdim=True) * attention.value.bias.view(-1, size)).flatten(1)
