"""The evidence of a run: counted, measured, or read from the cache."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from embfact.config.run_config import RunConfig
from embfact.config.sections import TRAINING
from embfact.data.readers import read_file
from embfact.data.rows import TEXT_COLUMNS
from embfact.data.source import Source
from embfact.data.text_lines import utf8_lines
from embfact.data.tokenized import Tokenized, tokenize
from embfact.errors import DataError
from embfact.evidence.gradients import SEED, Calibration, Moments
from embfact.factorization.base import Evidence
from embfact.models.loading import load_backbone
from embfact.models.pooled import count_tokens
from embfact.system.lock import built_once
from embfact.system.tensor_files import read_tensors, write_tensors

FORMAT = 2  # part of the file names: raise it when the moments are taken differently

log = logging.getLogger(__name__)


def collect(
    config: RunConfig,
    model_fingerprint: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Tokenized,
    train_all: pa.Table,
) -> Evidence:
    """The evidence that the method of a run asks for, and nothing else.

    Gradient moments are the same for every method, size and seed, so they are taken once per backbone and rows, and
    stored in ``paths.cache_dir``. The run's model and random numbers are not touched.

    Args:
        config: The run.
        model_fingerprint: SHA-256 of the backbone that it starts from.
        model: The model before anything in it is replaced.
        tokenizer: Its tokenizer.
        train: The rows that this run trains on, without held-out and reported rows.
        train_all: The texts that these were drawn from, for ``evidence.source=train_all``.

    Raises:
        DataError: If ``evidence.source`` is a file that cannot be used.
        ModelError: If gradients are not finite.
    """
    needs = config.factorization.needs
    counts = _counts(config, model, tokenizer, train, train_all) if "token_counts" in needs else None
    if needs <= {"token_counts"}:
        return Evidence(token_counts=counts)
    moments = _moments(config, model_fingerprint, model, tokenizer, train)
    return Evidence(
        token_counts=counts,
        row_gradients=moments.row_gradients if "row_gradients" in needs else None,
        gradient_metric=moments.gradient_metric if "gradient_metric" in needs else None,
    )


def _counts(
    config: RunConfig,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Tokenized,
    train_all: pa.Table,
) -> torch.Tensor:
    counted = train
    if config.evidence.source != TRAINING:
        texts = read_corpus(Path(config.evidence.file), config.data.text) if config.evidence.file else train_all
        counted = tokenize(texts, tokenizer, config.data.max_length, config.paths.cache_dir)
    return torch.from_numpy(counted.token_counts(_table(model).num_embeddings))


def _moments(
    config: RunConfig,
    model_fingerprint: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Tokenized,
) -> Moments:
    # Random weights depend on the seed of the run; of a pretrained backbone only the head does.
    drawn = config.model.architecture is not None and config.model.from_run is None
    seed = config.seed if drawn else SEED
    calibration = Calibration(
        rows=config.evidence.rows,
        # The head of a fine-tuned run is already trained.
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
    # Lightning takes a second to import, and only gradients need it.
    from embfact.tasks.sequence_classification import SequenceClassification

    task = SequenceClassification(own, config.optimizer, config.data.metrics, config.task.label_smoothing)
    # A GPU if the training uses one.
    on_gpu = config.trainer.accelerator in ("auto", "gpu") and torch.cuda.is_available()
    moments = calibration.measure(task.to("cuda" if on_gpu else "cpu"), train)
    log.info("gradient moments of %d rows taken in %.1f s", min(len(train), calibration.rows), perf_counter() - start)
    return moments


def _table(model: PreTrainedModel) -> nn.Embedding:
    return cast(nn.Embedding, model.get_input_embeddings())


def cache_path(cache_dir: str | os.PathLike[str], decisive: Sequence[Any], rows: Tokenized) -> Path:
    """The file of some moments: ``evidence/<sha256>.safetensors``.

    The rows are identified by their tokens and labels, which depend on everything that chose or changed them (the data,
    its splits, the tokenizer, the longest length); ``decisive`` are JSON values of everything else that matters.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, *decisive], sort_keys=True).encode())
    for values in (rows.lengths, rows.tokens, rows.types, rows.labels):
        digest.update(b"none" if values is None else f"{values.dtype} {values.shape}".encode())
        digest.update(b"" if values is None else values.tobytes())
    return Path(cache_dir).expanduser() / "evidence" / f"{digest.hexdigest()}.safetensors"


def read(path: Path, vocab_size: int, width: int) -> Moments | None:
    """The moments of a cache file for a V x H table, or None if it is missing, damaged or of another shape."""
    found = read_tensors(path) or {}
    shapes = {"row_gradients": (vocab_size,), "gradient_metric": (width, width)}
    fits = {name: tuple(tensor.shape) for name, tensor in found.items()} == shapes
    return Moments(**found) if fits else None


def write(path: Path, moments: Moments) -> None:
    """Store the moments for other runs; see `write_tensors`."""
    write_tensors(path, {"row_gradients": moments.row_gradients, "gradient_metric": moments.gradient_metric})


def read_corpus(path: Path, columns: Sequence[str]) -> pa.Table:
    """The texts of a file, without empty and missing ones.

    Args:
        path: A ``.txt`` file with one text per line; or CSV, TSV, JSON Lines or Parquet.
        columns: The text column of such a table, or the two of a pair; plain text has none.

    Returns:
        Columns ``id``, ``text``, ``text_pair`` (pairs only) and ``label`` (all null), as in `embfact.data.text`.

    Raises:
        DataError: If the file cannot be read, lacks a column, or holds no text.
    """
    if path.suffix.lower() == ".txt":
        try:
            texts = {"text": pa.array(list(utf8_lines(path, path.name)), pa.string())}
        except OSError as error:
            raise DataError(f"{path.name} cannot be read: {error.strerror or error}") from error
    else:
        source = read_file(path, columns)
        texts = {name: _strings(source, column) for name, column in zip(TEXT_COLUMNS, columns, strict=False)}
    filled = [pc.not_equal(pc.utf8_trim_whitespace(column), "") for column in texts.values()]
    rows = pa.table(texts).filter(filled[0] if len(filled) == 1 else pc.or_(*filled))
    if not rows.num_rows:
        raise DataError(f"{path.name} holds no text to count; give a file with text, or evidence.source=training")
    ids = pa.array(range(rows.num_rows), pa.int64())
    return rows.append_column("id", ids).append_column("label", pa.nulls(rows.num_rows, pa.int64()))


def _strings(source: Source, column: str) -> pa.Array:
    values = source.column(column)
    if not pa.types.is_string(values.type):
        raise DataError(f"{source.name}: {column!r} holds {values.type}, not text; name the text column in data.text")
    return pc.fill_null(values, "")
