"""The reported figures of a run: predictions, scores and sizes of its weights as saved, not as in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import safe_open
from torch import nn
from transformers import PreTrainedModel

from embfact.data.tokenized import Tokenized
from embfact.errors import UserError
from embfact.inference.scoring import predict
from embfact.models import checkpoint
from embfact.models.compress import embedding_modules, embedding_tensors
from embfact.models.shipped import memory_bytes, zstd_bytes
from embfact.models.size import model_size, saved_bytes
from embfact.models.table import token_embedding
from embfact.models.weight_files import WEIGHTS
from embfact.runs.record import PREDICTIONS, Amount, Sizes
from embfact.tasks.metrics import score
from embfact.training.context import RunContext


@dataclass(frozen=True)
class Scored:
    """The reported figures of a run.

    Attributes:
        metrics: Split -> metric -> value; None if undefined.
        size: Of embedding and model, as saved.
    """

    metrics: dict[str, dict[str, float | None]]
    size: Sizes


def score_saved(context: RunContext, reports: Mapping[str, Tokenized], device: str) -> Scored:
    """Load the saved weights, and write and score their predictions (``predictions.parquet``) for each reported split.

    Raises:
        UserError: If a reported split has no labels.
    """
    config = context.config
    model, tokenizer = checkpoint.load(context.weights)
    logits: dict[str, np.ndarray] = {}
    metrics: dict[str, dict[str, float | None]] = {}
    for split, rows in reports.items():
        logits[split] = predict(
            model,
            rows,
            pad_token_id=tokenizer.pad_token_id,
            padding_side=tokenizer.padding_side,
            batch_size=config.trainer.eval_batch_size,
            device=torch.device(device),
            title=f"{context.identity.name} {split}",
        )
        if rows.labels is None:
            raise UserError(f"the split {split} of {config.data.name} has no labels; report on a split that has them")
        metrics[split] = score(config.data.metrics, logits[split], rows.labels)
    if context.profile:
        embedding = token_embedding(model)
        context.profile.look_up(embedding, embedding.num_embeddings, torch.device(device))
    path = context.directory / PREDICTIONS
    temporary = path.with_suffix(".tmp")
    try:
        table = pa.concat_tables([_predictions(split, rows, logits[split]) for split, rows in reports.items()])
        pq.write_table(table, temporary, compression="zstd")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return Scored(metrics, _sizes(model, context))


def saved_sizes(context: RunContext) -> Sizes:
    """The sizes of a run whose weights are saved."""
    return _sizes(checkpoint.load(context.weights)[0], context)


def _predictions(split: str, rows: Tokenized, logits: np.ndarray) -> pa.Table:
    """Columns ``split``, ``id`` (row number in the split's source), ``label`` and ``logits`` of shape (outputs,)."""
    scores = pa.FixedSizeListArray.from_arrays(pa.array(logits.ravel(), pa.float32()), logits.shape[1])
    columns = {
        "split": pa.array([split] * len(rows), pa.string()),
        "id": pa.array(rows.ids, pa.int64()),
        "label": pa.array(rows.labels),
        "logits": scores.cast(pa.list_(pa.float32())),
    }
    return pa.table(columns)


def _sizes(model: PreTrainedModel, context: RunContext) -> Sizes:
    weights = context.weights / WEIGHTS
    own = embedding_tensors(model)
    with safe_open(weights, "pt") as file:
        zstd = {name: zstd_bytes([file.get_tensor(name)]) for name in file.keys()}  # noqa: SIM118

    def amount(names: list[str] | None, modules: Iterable[nn.Module]) -> Amount:
        return Amount(
            parameters=model_size(model, names).parameters,
            bytes=saved_bytes(weights, names),
            zstd_bytes=sum(zstd.values() if names is None else (zstd[name] for name in names)),
            memory_bytes=memory_bytes(modules),
        )

    return Sizes(embedding=amount(own, embedding_modules(model)), model=amount(None, [model]))
