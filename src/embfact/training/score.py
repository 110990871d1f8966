"""What is reported of a run: the scores and the sizes of its weights as saved, not of those in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from embfact.data.tokenized import Tokenized
from embfact.errors import UserError
from embfact.inference.logits import predict
from embfact.models import checkpoint
from embfact.models.compress import embedding_tensors
from embfact.models.size import model_size, saved_bytes
from embfact.models.weight_files import WEIGHTS
from embfact.runs.predictions import write_predictions
from embfact.runs.record import Amount, Sizes
from embfact.tasks.metrics import score
from embfact.training.context import RunContext


@dataclass(frozen=True)
class Scored:
    """The reported figures of a run.

    Attributes:
        metrics: Split -> metric -> value; None where it is undefined.
        size: Of embedding and model, as saved.
    """

    metrics: dict[str, dict[str, float | None]]
    size: Sizes


def score_saved(context: RunContext, reports: Mapping[str, Tokenized], device: str) -> Scored:
    """Read the weights from disk, write the predictions of every reported split, and score them.

    Args:
        context: The run, whose weights are saved.
        reports: The tokenised rows of each reported split.
        device: Where to compute, e.g. ``cpu``.

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
        )
        if rows.labels is None:
            raise UserError(f"{config.data.name} has no labels in {split}; report on a split that has them")
        metrics[split] = score(config.data.metrics, logits[split], rows.labels)
    write_predictions(context.directory, reports, logits)
    return Scored(metrics, _sizes(model, context))


def _sizes(model: PreTrainedModel, context: RunContext) -> Sizes:
    weights = context.weights / WEIGHTS

    def amount(names: list[str] | None = None) -> Amount:
        return Amount(parameters=model_size(model, names).parameters, bytes=saved_bytes(weights, names))

    return Sizes(embedding=amount(embedding_tensors(model)), model=amount())
