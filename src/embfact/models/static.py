"""A model without layers: a token table, and a head over pooled vectors (``model=static``, ``model=glove``).

Importing this module registers its configuration type with transformers.
"""

from __future__ import annotations

from typing import Any, ClassVar, cast

import torch
from torch import nn
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from embfact.config.sections import Pooling
from embfact.models.pooled import DEFAULT, PooledForSequenceClassification
from embfact.models.word_vectors import MODEL_TYPE


class StaticConfig(PreTrainedConfig):
    """Size and use of the table.

    Args:
        vocab_size: Rows V.
        hidden_size: Columns H.
        dropout: Probability before the head.
        embfact_pooling: How the vectors of a text become one.
        **options: Options of every configuration, e.g. ``pad_token_id``, the row that is not trained.
    """

    model_type = MODEL_TYPE
    models: ClassVar[dict[str, type[PreTrainedModel]]] = {}

    def __init__(
        self,
        vocab_size: int = 1,
        hidden_size: int = 1,
        dropout: float = 0.1,
        embfact_pooling: Pooling = DEFAULT,
        **options: Any,
    ):
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        self.dropout, self.embfact_pooling = dropout, embfact_pooling
        super().__init__(**options)


class StaticModel(PreTrainedModel):
    """The table, looked up; its vectors are those of `BertModel` and similar models before any layer and position."""

    config_class = StaticConfig
    base_model_prefix = "static"
    _input_embed_layer = "word_embeddings"

    def __init__(self, config: StaticConfig):
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.post_init()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> BaseModelOutput:
        """Vectors ``(b, t, H)`` of token ids ``(b, t)``; the mask changes nothing here."""
        return BaseModelOutput(last_hidden_state=self.word_embeddings(input_ids))


class StaticForSequenceClassification(PooledForSequenceClassification):
    """The table, pooling, dropout and one linear layer."""

    config_class = StaticConfig


OWN = {kind.__name__: kind for kind in (PooledForSequenceClassification, StaticForSequenceClassification, StaticModel)}
"""Models that transformers does not have, by their name in a configuration."""


def own_class(config: PreTrainedConfig) -> type[PooledForSequenceClassification]:
    """The classifier with pooling for a configuration."""
    return StaticForSequenceClassification if isinstance(config, StaticConfig) else PooledForSequenceClassification


def from_table(table: torch.Tensor, config: PreTrainedConfig) -> StaticForSequenceClassification:
    """A model with a given table of shape ``(V, H)``; its head is drawn."""
    body = StaticModel(cast(StaticConfig, config))
    body.word_embeddings.weight.data = table.float()
    return StaticForSequenceClassification(config, body)


# Not with the Auto classes of models: these would load registered models without `embfact.models.auto`.
AutoConfig.register(MODEL_TYPE, StaticConfig)
StaticConfig.models = {"AutoModel": StaticModel, "AutoModelForSequenceClassification": StaticForSequenceClassification}
