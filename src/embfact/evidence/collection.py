"""The evidence of a run: counted, measured, or read from the cache."""

from __future__ import annotations

import logging
from pathlib import Path
from time import perf_counter
from typing import cast

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from embfact.config.run_config import RunConfig
from embfact.data.tokenized import Tokenized, tokenize
from embfact.evidence.cache import cache_path, read, write
from embfact.evidence.corpus import read_corpus
from embfact.evidence.gradients import SEED, Calibration, Moments
from embfact.factorization.base import Evidence
from embfact.models.loading import load_backbone
from embfact.models.pooled import count_tokens
from embfact.system.lock import built_once
from embfact.tasks.sequence_classification import SequenceClassification

log = logging.getLogger(__name__)


def collect(
    config: RunConfig,
    model_fingerprint: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Tokenized,
) -> Evidence:
    """The evidence that the method of a run asks for, and nothing else.

    Gradient moments are the same for every method, size and seed, so they are taken once for a backbone and some rows,
    and kept in ``paths.cache_dir``. The run's model and random numbers are not touched.

    Args:
        config: The run.
        model_fingerprint: SHA-256 of the backbone that it starts from.
        model: The model before anything is replaced in it.
        tokenizer: Its tokenizer.
        train: The rows that this run trains on; held-out and reported rows must not be among them.

    Raises:
        DataError: If ``evidence.source`` is a file that cannot be used.
        ModelError: If gradients are not finite.
    """
    needs = config.factorization.needs
    counts = _counts(config, model, tokenizer, train) if "token_counts" in needs else None
    if needs <= {"token_counts"}:
        return Evidence(token_counts=counts)
    moments = _moments(config, model_fingerprint, model, tokenizer, train)
    return Evidence(
        token_counts=counts,
        row_gradients=moments.row_gradients if "row_gradients" in needs else None,
        gradient_metric=moments.gradient_metric if "gradient_metric" in needs else None,
    )


def _counts(
    config: RunConfig, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, train: Tokenized
) -> torch.Tensor:
    counted = train
    if config.evidence.file is not None:
        texts = read_corpus(Path(config.evidence.file), config.data.text)
        counted = tokenize(texts, tokenizer, config.data.max_length, config.paths.cache_dir)
    return torch.from_numpy(counted.token_counts(_table(model).num_embeddings))


def _moments(
    config: RunConfig,
    model_fingerprint: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Tokenized,
) -> Moments:
    # A backbone with random weights is another one for each seed of the run; a pretrained one only has another head.
    drawn = config.model.architecture is not None and config.model.from_run is None
    seed = config.seed if drawn else SEED
    calibration = Calibration(
        rows=config.evidence.rows,
        # The head that comes with a fine-tuned run is trained already.
        warmup_steps=config.evidence.warmup_steps if config.model.from_run is None else 0,
        pad_token_id=cast(int, tokenizer.pad_token_id),
        padding_side=tokenizer.padding_side,
    )
    outputs = cast(int, model.config.num_labels)
    decisive = [model_fingerprint, seed, calibration.settings(), config.task.label_smoothing, outputs]
    decisive += [config.task.pooling] if config.task.pooling else []
    path = cache_path(config.paths.cache_dir, decisive, train)
    table = _table(model)
    found = read(path, table.num_embeddings, table.embedding_dim)
    if found is None:
        with built_once(path):
            found = read(path, table.num_embeddings, table.embedding_dim)
            if found is None:
                found = _measure(config, calibration, outputs, seed, train)
                write(path, found)
                return found
    log.info("gradient moments read from %s", path)
    return found


def _measure(config: RunConfig, calibration: Calibration, outputs: int, seed: int, train: Tokenized) -> Moments:
    start = perf_counter()
    pooling = config.task.pooling
    own, _ = load_backbone(config.model, num_labels=outputs, label_names=None, dropout=None, seed=seed, pooling=pooling)
    count_tokens(own, train)
    task = SequenceClassification(own, config.optimizer, config.data.metrics, config.task.label_smoothing)
    moments = calibration.measure(task.to(_device(config)), train)
    log.info("gradient moments of %d rows taken in %.1f s", min(len(train), calibration.rows), perf_counter() - start)
    return moments


def _table(model: PreTrainedModel) -> nn.Embedding:
    return cast(nn.Embedding, model.get_input_embeddings())


def _device(config: RunConfig) -> torch.device:
    """A GPU where the training takes one; else the CPU."""
    wanted = config.trainer.accelerator in ("auto", "gpu") and torch.cuda.is_available()
    return torch.device("cuda" if wanted else "cpu")
