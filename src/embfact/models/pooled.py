"""A classifier or regressor over pooled token vectors, for any backbone (``task.pooling``)."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from embfact.config.sections import Pooling
from embfact.models.auto_map import model_class

if TYPE_CHECKING:
    from embfact.data.tokenized import Tokenized


SMOOTHING = 1e-3  # a in the weights a / (a + p) of frequent tokens, as in Arora et al.

OPTION = "embfact_pooling"
"""Where a transformers configuration says how tokens are pooled; without it, the backbone's own head is used."""

DEFAULT: Pooling = "mean"
# Probability before the head: the first of these that a configuration has.
_DROPOUT = (
    *("classifier_dropout", "seq_classif_dropout", "hidden_dropout_prob"),
    *("dropout", "dropout_rate", "resid_pdrop"),
)


class PooledForSequenceClassification(PreTrainedModel):
    """A transformers body, then pooling, dropout and one linear layer.

    Args:
        config: Configuration of the backbone; ``embfact_pooling`` says how tokens are pooled.
        body: The backbone without a head; None builds a new one. It has the attribute name of the transformers models,
            so that weights have the same names.
    """

    config_class: type[PreTrainedConfig] = PreTrainedConfig
    # The body itself reports what it does not support.
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True

    def __init__(self, config: PreTrainedConfig, body: PreTrainedModel | None = None):
        body = body or new_body(config)
        super().__init__(body.config)
        self.base_model_prefix = body.base_model_prefix
        setattr(self, self.base_model_prefix, body)
        # The width of the layers' output, even if the table has another one, as in ALBERT.
        hidden_size, vocab_size = cast(int, config.hidden_size), cast(int, config.vocab_size)
        self.pooling = TokenPooling(getattr(config, OPTION, DEFAULT), vocab_size, hidden_size)
        self.dropout = nn.Dropout(next((p for p in map(config.to_dict().get, _DROPOUT) if p is not None), 0.1))
        # Not named as in transformers: nothing may mistake it for the head of the backbone's own classifier.
        self.pooled_head = nn.Linear(hidden_size, cast(int, config.num_labels))
        nn.init.normal_(self.pooled_head.weight, std=0.02)
        nn.init.zeros_(self.pooled_head.bias)
        for module in self.modules():
            cast(Any, module)._is_hf_initialized = True  # otherwise weights would be drawn again
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Logits ``(b, outputs)`` of token ids ``(b, t)``; padding is where the mask is zero."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        states = self.base_model(input_ids=input_ids, attention_mask=mask, **types)[0]
        pooled = self.pooling(states, mask, input_ids)
        return SequenceClassifierOutput(logits=self.pooled_head(self.dropout(pooled)))

    def set_attn_implementation(self, *args: Any, **kwargs: Any) -> None:
        """Change the attention of the body, whose configuration this one is."""
        cast(PreTrainedModel, self.base_model).set_attn_implementation(*args, **kwargs)


def new_body(config: PreTrainedConfig) -> PreTrainedModel:
    """The backbone without a head, with random weights; of an encoder-decoder the encoder."""
    kind = body_class(config)
    return encoder_of(kind._from_config(config, dtype=torch.float32, **body_options(kind)))


def body_class(config: PreTrainedConfig) -> Any:
    """The transformers class of the backbone alone."""
    return model_class("AutoModelForTextEncoding", config) or model_class("AutoModel", config)


def body_options(kind: Any) -> dict[str, Any]:
    """Leave out a pooler that was pretrained for another task, if there is one: its training would be wasted."""
    return {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind).parameters else {}


def encoder_of(body: PreTrainedModel) -> PreTrainedModel:
    """A backbone without its decoder, if it has both parts."""
    return cast(PreTrainedModel, body.get_encoder()) if body.config.is_encoder_decoder else body


def count_tokens(model: nn.Module, train: Tokenized) -> None:
    """Give a model that weighs tokens by frequency the counts of the training rows.

    Args:
        model: Any model; one that needs no counts is left as it is.
        train: The rows that the run trains on.
    """
    if isinstance(model, PooledForSequenceClassification) and model.pooling.kind == "weighted":
        model.pooling.count(train.token_counts(cast(int, model.config.vocab_size)))


class TokenPooling(nn.Module):
    """A text as a weighted mean of its tokens, or as their largest numbers.

    Padding never counts, on whichever side it is; special tokens do. A row without tokens is pooled over its padding.

    * ``cls``: the first token; ``last``: the last one, which in a decoder has seen all others.
    * ``mean``, ``max``: all tokens equally, each column separately.
    * ``weighted``: tokens by a / (a + p), with p their share of the training rows (smooth inverse frequency: Arora,
      Liang and Ma, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings", ICLR 2017; without their removal of
      the first component). Until `count` is called all weigh the same.
    * ``attention``: weights softmax(h q / sqrt(H)) with a learned query q, which starts at zero, i.e. as the mean.

    Args:
        kind: One of these.
        vocab_size: Tokens V, for ``weighted``.
        hidden_size: Width H of the vectors, for ``attention``.
    """

    token_weights: torch.Tensor

    def __init__(self, kind: Pooling, vocab_size: int, hidden_size: int):
        super().__init__()
        self.kind = kind
        if kind == "weighted":
            self.register_buffer("token_weights", torch.ones(vocab_size))
        if kind == "attention":
            self.query = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, states: torch.Tensor, mask: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """The vectors of texts.

        Args:
            states: Vectors of their tokens, shape ``(b, t, H)``.
            mask: Not zero where a token is not padding, shape ``(b, t)``.
            ids: The tokens, shape ``(b, t)``.

        Returns:
            Shape ``(b, H)``, in the dtype of the states.
        """
        text = mask.bool()
        text = text | ~text.any(dim=1, keepdim=True)
        if self.kind == "max":
            return states.masked_fill(~text.unsqueeze(-1), float("-inf")).amax(dim=1)
        weights = self._weights(states, text, ids)
        weights = weights / weights.sum(dim=1, keepdim=True)
        return (weights.to(states.dtype).unsqueeze(1) @ states).squeeze(1)

    def _weights(self, states: torch.Tensor, text: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """The weight of each token, none below zero, shape ``(b, t)``."""
        if self.kind == "attention":
            scores = states @ self.query.to(states.dtype) / states.shape[-1] ** 0.5
            return scores.float().masked_fill(~text, float("-inf")).softmax(dim=1)
        if self.kind == "weighted":
            return self.token_weights[ids] * text
        counted = text.cumsum(dim=1)
        if self.kind == "cls":
            text = text & (counted == 1)
        if self.kind == "last":
            text = text & (counted == counted[:, -1:])
        return text.float()

    def count(self, token_counts: np.ndarray) -> None:
        """Set the weights of ``weighted`` from the occurrences of each token in the training rows, shape ``(V,)``."""
        shares = torch.from_numpy(token_counts / max(1.0, token_counts.sum()))
        self.token_weights.copy_(SMOOTHING / (SMOOTHING + shares))

    def extra_repr(self) -> str:
        """What `print(model)` says about this module."""
        return self.kind
