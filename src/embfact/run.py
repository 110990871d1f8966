"""One run, start to end: data, evidence, factorization, training, record. No step reaches back."""

from __future__ import annotations

import gc
import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from embfact import evidence
from embfact.config import RunConfig
from embfact.data.datamodule import TextDataModule
from embfact.data.text import TextData, load_text
from embfact.data.tokenized import Tokenized, tokenize
from embfact.errors import DataError, ModelError, UserError
from embfact.factorization.base import Evidence, Factorization
from embfact.factorization.decomposition_cache import kept_in
from embfact.factorization.layout import Size
from embfact.inference import predict
from embfact.log import run_log
from embfact.models import checkpoint
from embfact.models.compress import compress, embedding_tensors
from embfact.models.loading import load_backbone
from embfact.models.size import model_size, saved_bytes
from embfact.models.storage import imitate, store
from embfact.preflight import fault_of_length
from embfact.records import record as records
from embfact.records.identity import Identity
from embfact.records.predictions import write_predictions
from embfact.records.provenance import git_state, versions
from embfact.records.record import RunRecord
from embfact.records.resources import Stopwatch, peak_memory, reset_peak_memory
from embfact.refactorization import Refactorization
from embfact.tasks.metrics import check_metrics, score
from embfact.tracking import Tracker
from embfact.training import Fitted, fit

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Splits:
    """The tokenised rows of a run; the selection slice may be missing, the reports are by split name."""

    train: Tokenized
    selection: Tokenized | None
    reports: Mapping[str, Tokenized]


def execute(config: RunConfig, identity: Identity) -> RunRecord:
    """Do a run and write its record; a failure is a record too.

    Args:
        config: What to do.
        identity: Its hash, name and directory.

    Returns:
        The record as written, of status ``finished`` or ``failed``.
    """
    frame, watch = _frame(config, identity), Stopwatch()
    try:
        with run_log(identity.directory):
            record = _record(config, identity, watch, frame)
            # A forced run that fails does not take the place of one that finished.
            if record.status == "finished" or not records.is_finished(identity.directory, identity.hash):
                records.write(record, identity.directory)
    except OSError as error:
        # The run directory cannot be made or written to: nothing of this run stays, the others go on.
        record = _failure(frame, watch, error)
    gc.collect()
    return record


def _record(config: RunConfig, identity: Identity, watch: Stopwatch, frame: dict[str, Any]) -> RunRecord:
    """Do a run, with W&B opened before it and closed after it whatever happens."""
    log.info("embfact %s", identity.name)
    OmegaConf.save(OmegaConf.create(config.plain()), identity.directory / "config.yaml")
    reset_peak_memory()
    tracker, succeeded = Tracker(config, identity), False
    try:
        record = _run(config, identity, watch, tracker, frame)
        tracker.summarize(record)
        succeeded = True
    except Exception as error:
        log.error("the run failed:\n%s", traceback.format_exc())
        record = _failure(frame, watch, error)
    finally:
        tracker.close(succeeded)
    return record


def _failure(frame: dict[str, Any], watch: Stopwatch, error: Exception) -> RunRecord:
    message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    failure = {"type": type(error).__name__, "message": message}
    return RunRecord(**frame, status="failed", error=failure, seconds=watch.seconds())


def _run(config: RunConfig, identity: Identity, watch: Stopwatch, tracker: Tracker, frame: dict[str, Any]) -> RunRecord:
    """The way of the data, from its source to the record of a finished run."""
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    with watch.step("data"):
        text = load_text(config.data, config.paths.data_dir)
        if text.fingerprint != identity.data_fingerprint:
            raise DataError(f"{config.data.name} changed while the sweep was running; start the sweep again")
        model, tokenizer = _backbone(text, config)
        splits = _tokenize(text, tokenizer, config)
    dense = {"embedding": model_size(model, embedding_tensors(model)), "model": model_size(model)}
    with watch.step("evidence"):
        seen = evidence.collect(config, identity.model_fingerprint, model, tokenizer, splits.train)
    with watch.step("factorization"), kept_in(Path(config.paths.cache_dir) / "decompositions"):
        rank = _rank(model, seen, config)
        if config.refactorize.every == "never":
            _shrink(model, rank, seen, config)
    with watch.step("training"):
        fitted = _fit(model, tokenizer, splits, config, identity, tracker, _refactorization(model, rank, seen, config))
        store(model, config.storage)
    with watch.step("evaluation"):
        directory = identity.directory / records.CHECKPOINT
        checkpoint.save(model.cpu(), tokenizer, directory)
        del model
        # What is reported are the weights as saved, not those in memory.
        saved, tokenizer = checkpoint.load(directory)
        metrics = _evaluate(saved, tokenizer, splits, config, identity.directory, fitted.device)
        weights = directory / checkpoint.WEIGHTS
        size = {"embedding": _size(saved, weights, embedding_tensors(saved)), "model": _size(saved, weights)}
        if config.checkpoint == "none":
            rmtree(directory)
    return RunRecord(
        **frame
        | {"data": frame["data"] | {"origin": text.origin, "rows": _rows(splits)}}
        | {"method": frame["method"] | {"rank": rank}},
        status="finished",
        size={**size, "dense": dense},
        metrics=metrics,
        selection=_selection(splits, config, fitted),
        training=_training(config, fitted),
        seconds=watch.seconds(),
        peak_memory_bytes=peak_memory(),
    )


def _backbone(text: TextData, config: RunConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    outputs = 1 if text.label_names is None else len(text.label_names)
    check_metrics(config.data.metrics, outputs)
    model, tokenizer = load_backbone(
        config.model,
        num_labels=outputs,
        label_names=text.label_names,
        dropout=config.task.dropout,
        seed=config.seed,
    )
    if fault := fault_of_length(config, model.config.to_dict()):
        raise ModelError(str(fault))
    return model, tokenizer


def _tokenize(text: TextData, tokenizer: PreTrainedTokenizerBase, config: RunConfig) -> Splits:
    def tokens(table: Any) -> Tokenized:
        return tokenize(table, tokenizer, config.data.max_length, config.paths.cache_dir)

    selection = None if text.selection is None else tokens(text.selection)
    return Splits(tokens(text.train), selection, {name: tokens(table) for name, table in text.reports.items()})


def _fit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    splits: Splits,
    config: RunConfig,
    identity: Identity,
    tracker: Tracker,
    refactorization: Refactorization | None,
) -> Fitted:
    data = TextDataModule(
        train=splits.train,
        selection=splits.selection,
        batch_size=config.trainer.batch_size,
        eval_batch_size=config.trainer.eval_batch_size,
        seed=config.seed,
        pad_token_id=tokenizer.pad_token_id,
        padding_side=tokenizer.padding_side,
    )
    return fit(model, data, config, tracker.loggers, identity.directory, identity.name, refactorization)


def _rank(model: PreTrainedModel, seen: Evidence, config: RunConfig) -> int | None:
    if config.target is None:
        return None
    table = cast(nn.Embedding, model.get_input_embeddings()).weight
    return config.target.rank_of(config.factorization, table, seen, config.storage)


def _shrink(model: PreTrainedModel, rank: int | None, seen: Evidence, config: RunConfig) -> None:
    """Put the smaller embedding in the place of the table, as it will be trained."""
    compress(model, config.factorization, rank, evidence=seen, seed=config.seed, storage=config.storage)
    if config.quantization == "aware":
        imitate(model, config.storage)


def _refactorization(
    model: PreTrainedModel, rank: int | None, seen: Evidence, config: RunConfig
) -> Refactorization | None:
    """What makes the embedding smaller in the course of the training, if that is asked for."""
    if config.refactorize.every == "never":
        return None
    method = cast(Factorization, config.factorization)
    swap = partial(_shrink, model, rank, seen, config)
    return Refactorization(config.refactorize, method, int(rank or 0), swap, evidence=seen, seed=config.seed)


def _evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    splits: Splits,
    config: RunConfig,
    directory: Path,
    device: torch.device,
) -> dict[str, dict[str, float | None]]:
    """Write the predictions of every reported split and score them."""
    logits: dict[str, np.ndarray] = {}
    metrics: dict[str, dict[str, float | None]] = {}
    for split, rows in splits.reports.items():
        logits[split] = predict(
            model,
            rows,
            pad_token_id=tokenizer.pad_token_id,
            padding_side=tokenizer.padding_side,
            batch_size=config.trainer.eval_batch_size,
            device=device,
        )
        if rows.labels is None:
            raise UserError(f"{config.data.name} has no labels in {split}; report on a split that has them")
        metrics[split] = score(config.data.metrics, logits[split], rows.labels)
    write_predictions(directory, splits.reports, logits)
    return metrics


def _size(model: PreTrainedModel, weights: Path, names: list[str] | None = None) -> Size:
    return Size(model_size(model, names).parameters, saved_bytes(weights, names))


def _frame(config: RunConfig, identity: Identity) -> dict[str, Any]:
    """What a record says of a run before it is done."""
    data = config.data
    return {
        "name": identity.name,
        "hash": identity.hash,
        "experiment": config.experiment_name,
        "tags": config.tags,
        "started": datetime.now(UTC),
        "config": config.plain(),
        "science": identity.science,
        "seed": config.seed,
        "data": {
            "name": data.name,
            "fingerprint": identity.data_fingerprint,
            "metrics": list(data.metrics),
            "target": data.target,
            "note": data.note,
        },
        "model": {"name": config.model.label, "fingerprint": identity.model_fingerprint},
        "method": {
            "name": config.factorization.name,
            "rank": config.rank if config.target else None,
            "size": config.size,
            "size_name": config.factorization.size_name,
            "storage": config.storage,
            "quantization": None if config.storage == "float32" else config.quantization,
        },
        "versions": versions(),
        "git": git_state(),
    }


def _rows(splits: Splits) -> dict[str, int]:
    held_out = {} if splits.selection is None else {"selection": len(splits.selection)}
    return {"train": len(splits.train), **held_out, **{name: len(rows) for name, rows in splits.reports.items()}}


def _selection(splits: Splits, config: RunConfig, fitted: Fitted) -> dict[str, Any] | None:
    if splits.selection is None:
        return None
    return {
        "rows": len(splits.selection),
        "metric": config.data.metrics[0],
        "best_epoch": fitted.best_epoch,
        "value": fitted.value,
        "history": fitted.history,
    }


def _training(config: RunConfig, fitted: Fitted) -> dict[str, Any]:
    return {
        "steps": fitted.steps,
        "epochs": fitted.epochs,
        "threads": torch.get_num_threads(),
        "device": fitted.device.type,
        "precision": config.trainer.precision,
        "refactorize": fitted.projections,
    }
