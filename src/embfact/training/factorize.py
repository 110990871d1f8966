"""Replacing the table of a run with a smaller embedding, before or during training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import cast

from torch import nn
from transformers import PreTrainedModel

from embfact import evidence
from embfact.config.run_config import RunConfig
from embfact.factorization.base import Evidence, Factorization
from embfact.factorization.decomposition_cache import kept_in
from embfact.models.compress import compress
from embfact.models.storage import imitate
from embfact.training.context import RunContext
from embfact.training.refactorization import Refactorization
from embfact.training.start import Start


def factorize(start: Start, context: RunContext) -> tuple[int | None, Refactorization | None]:
    """Replace the table with the smaller embedding, or prepare to do so during training.

    Returns:
        The rank, and the callback that replaces the table during training, if asked for.
    """
    config, fingerprint = context.config, context.identity.model_fingerprint
    with context.phase("caching", "evidence"):
        train, train_all = start.splits.train, start.text.train_all
        seen = evidence.collect(config, fingerprint, start.model, start.tokenizer, train, train_all)
    with context.phase("factorizing", "factorization"), kept_in(Path(config.paths.cache_dir) / "decompositions"):
        rank = _rank(start.model, seen, config)
        swap = partial(_shrink, start.model, rank, seen, config)
        if config.refactorize.every == "never":
            swap()
            return rank, None
        method = cast(Factorization, config.factorization)
        return rank, Refactorization(config.refactorize, method, int(rank or 0), swap, evidence=seen, seed=config.seed)


def _rank(model: PreTrainedModel, seen: Evidence, config: RunConfig) -> int | None:
    if config.target is None:
        return None
    table = cast(nn.Embedding, model.get_input_embeddings()).weight
    return config.target.rank_of(config.factorization, table, seen, config.kept)


def _shrink(model: PreTrainedModel, rank: int | None, seen: Evidence, config: RunConfig) -> None:
    """Replace the table with the smaller embedding, in the form in which it is trained."""
    compress(model, config.factorization, rank, evidence=seen, seed=config.seed, storage=config.kept)
    if config.quantization == "aware":
        imitate(model, config.kept)
