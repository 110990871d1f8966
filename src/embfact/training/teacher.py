"""What the run that a training learns from (``task.distill``) says about the training rows."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import cast

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from embfact.config.sections import CHECKPOINT
from embfact.data.tokenized import Tokenized
from embfact.embeddings.base import TokenEmbedding
from embfact.errors import ModelError
from embfact.evidence.collection import cache_path
from embfact.inference.scoring import predict
from embfact.models import checkpoint
from embfact.models.table import token_embedding
from embfact.runs.teacher import fingerprint_of
from embfact.system.lock import built_once
from embfact.system.tensor_files import read_tensors, write_tensors
from embfact.training.context import RunContext

log = logging.getLogger(__name__)

BATCH_SIZE = 64  # fixed, so that runs of any batch size share the logits
# The token table of the last teacher by its fingerprint: the runs of a process mostly share one.
_tables: dict[str, torch.Tensor] = {}


@dataclass(frozen=True)
class Teacher:
    """What a teacher says; nothing of it changes during a training.

    Attributes:
        logits: Of every training row, float32, shape ``(rows, outputs)``, without dropout.
        table: Its token table, shape ``(V, H)``; None if the student is not to imitate it.
    """

    logits: np.ndarray
    table: torch.Tensor | None


def teacher_for(
    context: RunContext, student: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Tokenized
) -> Teacher | None:
    """What the run named in ``task.distill`` says about the training rows; None without it.

    Its logits are computed once for the same weights and rows, and stored in ``paths.cache_dir``. The run's random
    numbers are not touched.

    Raises:
        ModelError: If the teacher has changed since the run was planned, or does not fit the student.
    """
    config, place = context.config, context.identity.teacher
    if place is None:
        return None
    fingerprint = fingerprint_of(place, config.model)
    if fingerprint != context.identity.science["teacher_fingerprint"]:
        raise ModelError(f"the run {place} changed while the sweep was running; start the sweep again")
    path = cache_path(config.paths.cache_dir, ["teacher", fingerprint, BATCH_SIZE, tokenizer.padding_side], rows)
    logits, table = _read(path), _tables.get(fingerprint)
    if logits is None or (config.imitates_table and table is None):
        model, own = checkpoint.load(place / CHECKPOINT)
        _refuse_other_words(place, own, tokenizer)
        if logits is None:
            with built_once(path):
                logits = _read(path)
                if logits is None:
                    logits = _score(model, rows, tokenizer, context)
                    write_tensors(path, {"logits": torch.from_numpy(logits)})
        table = _table(model)
        _tables.clear()
        _tables[fingerprint] = table
    width = cast(nn.Embedding, student.get_input_embeddings()).embedding_dim
    if config.imitates_table and table is not None and table.shape[1] != width:
        raise ModelError(
            f"the table of the run {place} has {table.shape[1]} columns, and that of {config.model.label} {width}; "
            "set task.distill_embedding=0 to learn from its logits alone"
        )
    return Teacher(logits, table if config.imitates_table else None)


def _read(path: Path) -> np.ndarray | None:
    found = read_tensors(path)
    return None if found is None else found["logits"].numpy()


def _score(
    model: PreTrainedModel, rows: Tokenized, tokenizer: PreTrainedTokenizerBase, context: RunContext
) -> np.ndarray:
    start = perf_counter()
    on_gpu = context.config.trainer.accelerator in ("auto", "gpu") and torch.cuda.is_available()
    logits = predict(
        model,
        rows,
        pad_token_id=cast(int, tokenizer.pad_token_id),
        padding_side=tokenizer.padding_side,
        batch_size=BATCH_SIZE,
        device="cuda" if on_gpu else "cpu",
        title=f"{context.identity.name} teacher",
    )
    log.info("the teacher scored %d training rows in %.1f s", len(rows), perf_counter() - start)
    return logits


@torch.no_grad()
def _table(model: PreTrainedModel) -> torch.Tensor:
    embedding = token_embedding(model)
    table = embedding.dense() if isinstance(embedding, TokenEmbedding) else embedding.weight
    return table.detach().cpu().clone()


def _refuse_other_words(place: Path, teacher: PreTrainedTokenizerBase, student: PreTrainedTokenizerBase) -> None:
    if teacher.get_vocab() != student.get_vocab():
        raise ModelError(
            f"the run {place} reads other tokens than this backbone; distill from a run with the same tokenizer"
        )
