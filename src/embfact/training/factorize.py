"""Replacing the table of a run with a smaller embedding, before or during training."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import nn
from transformers import PreTrainedModel

from embfact import evidence
from embfact.compression.trim_in_place import trim_in_place
from embfact.config.run_config import RunConfig
from embfact.factorization.base import Evidence, Factorization, TokenizerMethod
from embfact.factorization.decomposition_cache import kept_in
from embfact.factorization.none import Dense
from embfact.models.compress import compress
from embfact.models.loading import load_tokenizer
from embfact.models.pooled import count_tokens
from embfact.models.storage import imitate
from embfact.training.context import RunContext
from embfact.training.refactorization import Refactorization
from embfact.training.start import Start, tokenized


def factorize(start: Start, context: RunContext) -> tuple[Start, int | None, Refactorization | None]:
    """Replace the table with the smaller embedding, or prepare to do so during training.

    Returns:
        What the training starts from, whose texts a `TokenizerMethod` has encoded again; the rank; and the callback
        that replaces the table during training, if asked for.
    """
    config, fingerprint = context.config, context.identity.model_fingerprint
    with context.phase("caching", "evidence"):
        train, train_all = start.splits.train, start.text.train_all
        seen = evidence.collect(config, fingerprint, start.model, start.tokenizer, train, train_all)
    with context.phase("factorizing", "factorization"), kept_in(Path(config.paths.cache_dir) / "decompositions"):
        rank = _rank(start.model, seen, config)
        if isinstance(config.factorization, TokenizerMethod):
            start = _trimmed(start, cast(int, rank), seen, config)
        swap = partial(_shrink, start.model, rank, seen, config)
        if config.refactorize.every == "never":
            swap()
            return start, rank, None
        method = cast(Factorization, config.factorization)
        later = Refactorization(config.refactorize, method, int(rank or 0), swap, evidence=seen, seed=config.seed)
        return start, rank, later


def as_saved(start: Start, context: RunContext) -> Start:
    """What a training started from whose weights are saved: a `TokenizerMethod` has changed the tokenizer."""
    if not isinstance(context.config.factorization, TokenizerMethod):
        return start
    tokenizer = load_tokenizer(str(context.weights), trust_remote_code=False)
    tokenizer.model_input_names = start.tokenizer.model_input_names
    return replace(start, tokenizer=tokenizer, splits=tokenized(start.text, tokenizer, context.config))


def _trimmed(start: Start, rank: int, seen: Evidence, config: RunConfig) -> Start:
    """Drop tokens from the model and the tokenizer, and encode the rows again."""
    method, counts = cast(TokenizerMethod, config.factorization), cast(torch.Tensor, seen.token_counts)
    tokenizer = trim_in_place(start.model, start.tokenizer, config.model, counts.tolist(), method.criteria(rank))
    splits = tokenized(start.text, tokenizer, config)
    count_tokens(start.model, splits.train)
    return replace(start, tokenizer=tokenizer, splits=splits)


def _rank(model: PreTrainedModel, seen: Evidence, config: RunConfig) -> int | None:
    if config.target is None:
        return None
    table = cast(nn.Embedding, model.get_input_embeddings()).weight
    return config.target.rank_of(config.factorization, table, seen, config.kept)


def _shrink(model: PreTrainedModel, rank: int | None, seen: Evidence, config: RunConfig) -> None:
    """Replace the table with the smaller embedding, in the form in which it is trained."""
    if isinstance(config.factorization, TokenizerMethod):  # whose table is smaller already
        compress(model, Dense(), None, storage=config.kept)
    else:
        compress(model, config.factorization, rank, evidence=seen, seed=config.seed, storage=config.kept)
    if config.quantization == "aware":
        imitate(model, config.kept)
