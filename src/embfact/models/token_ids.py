"""Whether a tokenizer matches a model: its output must be in the model's tables."""

from __future__ import annotations

import inspect
from typing import cast

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from embfact.errors import ModelError
from embfact.models.tokenizer_files import ids_error


def largest_token_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The largest id that a tokenizer can give; below it there are holes if a vocabulary was trimmed."""
    # The tokens around a text need not be in the vocabulary.
    around = cast(list[int], tokenizer("a", "a")["input_ids"])
    return max(*tokenizer.get_vocab().values(), *tokenizer.all_special_ids, *around)


def check_ids(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, name: str) -> None:
    """Refuse a tokenizer with an id beyond the table, which would end a run in the middle, with a `ModelError`."""
    rows = cast(nn.Embedding, model.get_input_embeddings()).num_embeddings
    if detail := ids_error(largest_token_id(tokenizer), rows, name):
        raise ModelError(detail)


def take_types_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let a tokenizer give token types only if the model distinguishes two of them; the tokenizer is changed in place.

    A tokenizer other than the model's own (``model.tokenizer``) may give them to a model that takes none, or has one.
    """
    takes = "token_type_ids" in inspect.signature(model.base_model.forward).parameters
    if not takes or getattr(model.config, "type_vocab_size", 2) == 1:
        tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
