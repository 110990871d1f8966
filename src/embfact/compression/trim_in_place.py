"""Trimming the model and the tokenizer of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from embfact.compression.trim_files import named_ids, read_tokenizer, tokenizer_folder
from embfact.config.sections import ModelConfig
from embfact.errors import ConfigError, ModelError
from embfact.models.kept_rows import keep_rows
from embfact.models.loading import load_tokenizer, quiet
from embfact.trimming.files import write_tokenizer
from embfact.trimming.selection import Criteria, select


def trim_in_place(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    origin: ModelConfig,
    counts: Sequence[float],
    criteria: Criteria,
) -> PreTrainedTokenizerBase:
    """Drop tokens from a model.

    Args:
        model: A model with a dense table, which is changed.
        tokenizer: Its tokenizer, which is not.
        origin: Where both come from.
        counts: Occurrences of each token.
        criteria: Which tokens to keep.

    Returns:
        The tokenizer with these tokens alone.

    Raises:
        ModelError: If the tokenizer cannot be trimmed, or the criteria do not fit it.
    """
    source = tokenizer_folder(origin)
    whole = read_tokenizer(source, tokenizer)
    try:
        kept, _ = select(whole, counts, criteria, named_ids(model.config.to_dict()))
    except ConfigError as error:
        raise ModelError("; ".join(map(str, error.errors))) from None
    content, old_ids = whole.trimmed(kept)
    keep_rows(model, old_ids)
    with TemporaryDirectory() as folder, quiet():
        write_tokenizer(whole, content, old_ids, source, Path(folder))
        model.config.save_pretrained(folder)  # from which transformers may learn the class of the tokenizer
        trimmed = load_tokenizer(folder, trust_remote_code=False)
    trimmed.name_or_path = tokenizer.name_or_path
    trimmed.model_input_names = tokenizer.model_input_names
    return trimmed
