"""What is known of a run once its weights are saved, by its own training or that of a run in float32."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from embfact.config.sections import CHECKPOINT
from embfact.embeddings.layout import Size
from embfact.errors import ModelError
from embfact.models import checkpoint
from embfact.models.storage import store
from embfact.runs.attempt import Attempt
from embfact.runs.curve import FILE_NAME, read_curves
from embfact.runs.same_training import FloatRun
from embfact.system.atomic import write_text
from embfact.training.context import RunContext
from embfact.training.fit import Fitted

log = logging.getLogger(__name__)

# What the run in float32 did for this one too; it counts as work of both.
SHARED = ("evidence", "factorization", "training")


@dataclass(frozen=True)
class Trained:
    """What is known once the weights are saved; stored as JSON, so that a run can resume from here.

    Attributes:
        rank: The rank; None for a method without one.
        dense: Sizes of ``embedding`` and ``model`` before the table was replaced.
        threads: CPU threads.
        fitted: The result of the training.
        shared_with: Name of the run in float32 that has trained the weights; None if this one has.
    """

    rank: int | None
    dense: dict[str, Size]
    threads: int
    fitted: Fitted
    shared_with: str | None = None


_TRAINED = TypeAdapter(Trained)


def trained_of(notes: Mapping[str, Any]) -> Trained:
    """What `dataclasses.asdict` made of it."""
    return _TRAINED.validate_python(notes)


def share_training(other: FloatRun, context: RunContext, attempt: Attempt) -> Trained | None:
    """Save the weights of a run in float32 in the requested storage, with its curve; None if they cannot be read.

    Raises:
        ModelError: If the storage cannot hold them.
        OSError: If the disk is full.
    """
    record = other.record
    with context.phase("training", "training"):
        try:
            model, tokenizer = checkpoint.load(other.directory / CHECKPOINT)
        except ModelError as error:
            log.warning("the weights of %s cannot be used, so this run is trained: %s", record.name, error)
            return None
        store(model, context.config.kept)
        checkpoint.save(model, tokenizer, context.weights)
        _repeat_curve(other.directory, context)
    attempt.watch.add({step: getattr(record.seconds, step) for step in SHARED})
    assert record.size is not None
    assert record.training is not None
    training = record.training.model_dump(include={"steps", "epochs", "device", "batch_rows"})
    selected = record.selection.model_dump(include={"history", "best_epoch", "value"}) if record.selection else {}
    nothing: dict[str, Any] = {"history": [], "best_epoch": None, "value": None}
    trained = trained_of(
        {
            "rank": record.method.rank,
            "dense": {name: amount.model_dump(include={"parameters", "bytes"}) for name, amount in record.size.dense},
            "threads": record.training.threads or context.config.trainer.threads or 1,
            "fitted": {**nothing, **selected, **training, "projections": record.training.model_dump()["refactorize"]},
            "shared_with": record.name,
        }
    )
    attempt.note_trained(asdict(trained))
    return trained


def _repeat_curve(directory: Path, context: RunContext) -> None:
    """Copy the curve, and log it as a training would."""
    if not (directory / FILE_NAME).is_file():
        return
    write_text(context.directory / FILE_NAME, (directory / FILE_NAME).read_text(encoding="utf-8"))
    steps: dict[int, dict[str, float]] = defaultdict(dict)
    for name, (places, values) in read_curves(directory).items():
        for step, value in zip(places, values, strict=True):
            steps[step][name] = value
    for logger in context.loggers:
        for step, metrics in sorted(steps.items()):
            logger.log_metrics(metrics, step)
