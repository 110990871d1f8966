"""A last layer that computes no more than the head reads.

The classification heads of BERT and its kin read the first token. So the last layer needs the query, the output of
the attention and the feed-forward part of that token alone; keys and values are those of all tokens. The logits and all
gradients stay what they were.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

# Encoders that are built like BERT, with heads that read the first token.
_READERS = {f"{name}ForSequenceClassification" for name in ("Bert", "Roberta", "XLMRoberta", "Electra")}
# Those whose masks have a row for each query, or none at all.
_ATTENTION = {"sdpa", "embfact"}


def last_layer(model: nn.Module) -> nn.Module | None:
    """The layer of which only the first token is read; None if the model is no such model."""
    if type(model).__name__ not in _READERS or not isinstance(model, PreTrainedModel):
        return None
    if model.config._attn_implementation not in _ATTENTION or model.config.is_decoder:
        return None
    encoder: Any = model.base_model
    return encoder.encoder.layer[-1]


def forward(
    layer: Any, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, *_: Any, **__: Any
) -> torch.Tensor:
    """What the layer's own ``forward`` does, for the first token.

    Args:
        layer: A ``BertLayer``, or one of its kin.
        hidden_states: Shape ``(b, t, H)``.
        attention_mask: Shape ``(b, 1, t, t)``, or None.

    Returns:
        Shape ``(b, 1, H)``.
    """
    attention, first = layer.attention.self, hidden_states[:, :1]

    def heads(values: torch.Tensor) -> torch.Tensor:
        return values.unflatten(-1, (-1, attention.attention_head_size)).transpose(1, 2)

    attend = ALL_ATTENTION_FUNCTIONS[attention.config._attn_implementation]
    seen, _weights = attend(
        attention,
        heads(attention.query(first)),
        heads(attention.key(hidden_states)),
        heads(attention.value(hidden_states)),
        None if attention_mask is None else attention_mask[:, :, :1],
        dropout=attention.dropout.p if attention.training else 0.0,
        scaling=attention.scaling,
    )
    attended = layer.attention.output(seen.flatten(2), first)
    return layer.output(layer.intermediate(attended), attended)
