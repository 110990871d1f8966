"""What a run starts from: CPU threads, tokenised rows, and a backbone with its dense table."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import pyarrow as pa
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from embfact.config.run_config import RunConfig
from embfact.data.datamodule import TextDataModule
from embfact.data.text import TextData, load_text
from embfact.data.tokenized import Tokenized, tokenize
from embfact.errors import DataError, ModelError
from embfact.models.loading import load_backbone
from embfact.models.pooled import count_tokens
from embfact.runs.attempt import Attempt
from embfact.runs.preflight import length_error
from embfact.system.resources import trim_memory
from embfact.tasks.metrics import check_metrics
from embfact.training.context import RunContext
from embfact.training.teacher import Teacher, teacher_for

log = logging.getLogger(__name__)

# From OMP_NUM_THREADS or the number of cores, before any run of this process has changed it.
USUAL = torch.get_num_threads()


@dataclass(frozen=True)
class Splits:
    """The tokenised rows of a run; there may be no selection slice; the reported splits are by name."""

    train: Tokenized
    selection: Tokenized | None
    reports: Mapping[str, Tokenized]

    @property
    def rows(self) -> dict[str, int]:
        """Rows of train, of selection and of each reported split."""
        held_out = {} if self.selection is None else {"selection": len(self.selection)}
        return {"train": len(self.train), **held_out, **{name: len(rows) for name, rows in self.reports.items()}}


@dataclass(frozen=True)
class Start:
    """The rows, the backbone with its dense table, and what it learns from besides labels."""

    text: TextData
    splits: Splits
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    teacher: Teacher | None = None


def use_threads(config: RunConfig, attempt: Attempt) -> int:
    """Set and return the number of threads: as configured, else that of the resumed attempt, else the default.

    It is recorded, and the same in every attempt, since it affects the last bits of the results.
    """
    before = attempt.life.status.threads if attempt.resumes else None
    threads = config.trainer.threads or before or USUAL
    if before not in (None, threads):
        log.warning("resumed on %d threads, started on %d: the last bits of the results may differ", threads, before)
    torch.set_num_threads(threads)
    attempt.life.use(threads)
    return threads


def load(context: RunContext) -> Start:
    """Load and tokenise the rows, load the backbone, and ask the run to learn from, if there is one.

    Raises:
        DataError: If the rows cannot be used, or have changed since the run was planned.
        ModelError: If the backbone, or the run to learn from, cannot be used.
    """
    config = context.config
    with context.phase("loading", "data"):
        text = load_text(config.data, config.paths.data_dir, config.paths.cache_dir, seed=config.seed)
        trim_memory()  # of the rows that were not drawn
        if text.fingerprint != context.identity.data_fingerprint:
            raise DataError(f"{config.data.name} changed while the sweep was running; start the sweep again")
        model, tokenizer = _backbone(text, config)
    with context.phase("caching", "data"):
        splits = tokenized(text, tokenizer, config)
        count_tokens(model, splits.train)
    with context.phase("caching", "evidence"):
        return Start(text, splits, model, tokenizer, teacher_for(context, model, tokenizer, splits.train))


def data_module(start: Start, config: RunConfig) -> TextDataModule:
    """The batches of a training."""
    return TextDataModule(
        train=start.splits.train,
        selection=start.splits.selection,
        batch_size=config.trainer.batch_size,
        batching=config.trainer.batching,
        eval_batch_size=config.trainer.eval_batch_size,
        seed=config.seed,
        pad_token_id=cast(int, start.tokenizer.pad_token_id),
        padding_side=start.tokenizer.padding_side,
        teacher=start.teacher.logits if start.teacher else None,
    )


def outputs_of(text: TextData) -> int:
    """The number of classes, or 1 for a regression."""
    return 1 if text.label_names is None else len(text.label_names)


def _backbone(text: TextData, config: RunConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    outputs = outputs_of(text)
    check_metrics(config.data.metrics, outputs)
    model, tokenizer = load_backbone(
        config.model,
        num_labels=outputs,
        label_names=text.label_names,
        dropout=config.task.dropout,
        seed=config.seed,
        pooling=config.task.pooling,
    )
    if detail := length_error(config, model.config.to_dict()):
        raise ModelError(str(detail))
    return model, tokenizer


def tokenized(text: TextData, tokenizer: PreTrainedTokenizerBase, config: RunConfig) -> Splits:
    """The rows of a run as token ids."""

    def tokens(table: pa.Table) -> Tokenized:
        return tokenize(table, tokenizer, config.data.max_length, config.paths.cache_dir)

    selection = None if text.selection is None else tokens(text.selection)
    return Splits(tokens(text.train), selection, {name: tokens(table) for name, table in text.reports.items()})
