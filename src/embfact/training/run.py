"""One run, start to end: data, evidence, factorization, training, record. No step reaches back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from embfact import evidence
from embfact.config.run_config import RunConfig
from embfact.config.sections import CHECKPOINT
from embfact.data.datamodule import TextDataModule
from embfact.data.text import TextData, load_text
from embfact.data.tokenized import Tokenized, tokenize
from embfact.embeddings.layout import Size
from embfact.errors import DataError, ModelError, UserError
from embfact.factorization.base import Evidence, Factorization
from embfact.factorization.decomposition_cache import kept_in
from embfact.inference.logits import predict
from embfact.models import checkpoint
from embfact.models.compress import compress, embedding_tensors
from embfact.models.loading import load_backbone
from embfact.models.pooled import count_tokens
from embfact.models.size import model_size, saved_bytes
from embfact.models.storage import imitate, store
from embfact.models.weight_files import WEIGHTS
from embfact.profiling.profile import Profile
from embfact.runs.attempt import Attempt
from embfact.runs.identity import Identity
from embfact.runs.predictions import write_predictions
from embfact.runs.preflight import fault_of_length
from embfact.runs.record import RunRecord
from embfact.system.resources import release_memory, trim_memory
from embfact.tasks.metrics import check_metrics, score
from embfact.tasks.reference import baselines
from embfact.training.distributed import other_ranks
from embfact.training.fit import Fitted, fit
from embfact.training.refactorization import Refactorization
from embfact.training.threads import use_threads


@dataclass(frozen=True)
class Splits:
    """The tokenised rows of a run; the selection slice may be missing, the reports are by split name."""

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
    """What a run starts from: the rows, and the backbone with its dense table."""

    text: TextData
    splits: Splits
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


@dataclass(frozen=True)
class Trained:
    """What is known once the weights are saved; JSON values, so that a run can go on from here."""

    rank: int | None
    dense: dict[str, Any]
    threads: int
    fitted: dict[str, Any]


def run(
    config: RunConfig, identity: Identity, attempt: Attempt, loggers: list[Logger], frame: dict[str, Any]
) -> RunRecord:
    """The way of the data, from its source to the record of a finished run.

    Args:
        config: What to do.
        identity: Its hash, name and directory.
        attempt: How far an earlier attempt came, and where this one says how far it is.
        loggers: Where losses and metrics go.
        frame: What the record says of the run already.

    Raises:
        Exception: Whatever goes wrong; `embfact.training.execution` makes a record of it.
        Interrupted: If a signal asked to stop.
    """
    profile = Profile(attempt.watch) if config.profile else None
    threads = use_threads(config, attempt)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    start = load(config, identity, attempt)
    known = attempt.trained()
    trained = Trained(**known) if known else train(start, config, identity, attempt, loggers, threads, profile)
    text, splits = start.text, start.splits
    del start  # and the model in it: it is read again from its files
    directory = identity.directory / CHECKPOINT
    with attempt.phase("evaluating", "evaluation"):
        # What is reported are the weights as saved, not those in memory.
        saved, tokenizer = checkpoint.load(directory)
        metrics = _evaluate(saved, tokenizer, splits, config, identity.directory, trained.fitted["device"])
        weights = directory / WEIGHTS
        size = {"embedding": _size(saved, weights, embedding_tensors(saved)), "model": _size(saved, weights)}
    if profile:
        profile.report(identity.name, trained.fitted["device"], config.trainer.devices).write(identity.directory)
    return RunRecord(
        **frame
        | {"data": frame["data"] | {"origin": text.origin, "rows": splits.rows}}
        | {"method": frame["method"] | {"rank": trained.rank}},
        status="finished",
        size={**size, "dense": trained.dense},
        metrics=metrics,
        # Once a sweep, and in none of its phases: the seconds of the first run are not more for it.
        baselines=baselines(splits.train, splits.reports, config.data.metrics, _outputs(text), config.paths.cache_dir),
        selection=_selection(splits, config, trained.fitted),
        training=_training(config, trained),
        seconds=attempt.watch.seconds(),
        peak_memory_bytes=attempt.peak_memory,
        attempts=attempt.life.status.attempt,
    )


def load(config: RunConfig, identity: Identity, attempt: Attempt) -> Start:
    """The rows, tokenised, and the backbone as it is before anything is replaced in it."""
    with attempt.phase("loading", "data"):
        text = load_text(config.data, config.paths.data_dir, config.paths.cache_dir)
        trim_memory()  # of the rows that a few were drawn from
        if text.fingerprint != identity.data_fingerprint:
            raise DataError(f"{config.data.name} changed while the sweep was running; start the sweep again")
        model, tokenizer = _backbone(text, config)
    with attempt.phase("caching", "data"):
        splits = _tokenize(text, tokenizer, config)
        count_tokens(model, splits.train)
        return Start(text, splits, model, tokenizer)


def train(
    start: Start,
    config: RunConfig,
    identity: Identity,
    attempt: Attempt,
    loggers: list[Logger],
    threads: int,
    profile: Profile | None = None,
) -> Trained:
    """Make the embedding smaller, fine-tune, and save the weights."""
    model, directory = start.model, identity.directory / CHECKPOINT
    dense = {"embedding": model_size(model, embedding_tensors(model)), "model": model_size(model)}
    rank, refactorization = factorize(start, config, identity, attempt)
    with attempt.phase("training", "training"):
        fitted = _tune(start, config, identity, attempt, loggers, refactorization, profile)
        model.zero_grad()
        release_memory()  # of gradients and the optimizer's state: saving and scoring shall not come on top of them
        store(model, config.kept)
        checkpoint.save(model.cpu(), start.tokenizer, directory)
        trained = Trained(rank, {name: asdict(size) for name, size in dense.items()}, threads, asdict(fitted))
        attempt.note_trained(asdict(trained))
    return trained


def _tune(
    start: Start,
    config: RunConfig,
    identity: Identity,
    attempt: Attempt,
    loggers: list[Logger],
    refactorization: Refactorization | None,
    profile: Profile | None,
) -> Fitted:
    """Fine-tune on all devices; what was made for it, Lightning's trainer above all, is garbage afterwards."""
    data, place = data_module(start, config), identity.directory
    tune = partial(fit, start.model, data, config, directory=place, title=identity.name, attempt=attempt)
    other = partial(tune, loggers=[])
    with other_ranks(other, devices=config.trainer.devices, directory=place, seed=config.seed):
        return tune(loggers=loggers, refactorization=refactorization, profile=profile)


def factorize(
    start: Start, config: RunConfig, identity: Identity, attempt: Attempt
) -> tuple[int | None, Refactorization | None]:
    """Put the smaller embedding in the place of the table, or say when the training is to do so.

    Returns:
        The rank, and what makes the embedding smaller in the course of the training, if that is asked for.
    """
    with attempt.phase("caching", "evidence"):
        seen = evidence.collect(config, identity.model_fingerprint, start.model, start.tokenizer, start.splits.train)
    with attempt.phase("factorizing", "factorization"), kept_in(Path(config.paths.cache_dir) / "decompositions"):
        rank = _rank(start.model, seen, config)
        swap = partial(_shrink, start.model, rank, seen, config)
        if config.refactorize.every == "never":
            swap()
            return rank, None
        method = cast(Factorization, config.factorization)
        return rank, Refactorization(config.refactorize, method, int(rank or 0), swap, evidence=seen, seed=config.seed)


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
    )


def _backbone(text: TextData, config: RunConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    outputs = _outputs(text)
    check_metrics(config.data.metrics, outputs)
    model, tokenizer = load_backbone(
        config.model,
        num_labels=outputs,
        label_names=text.label_names,
        dropout=config.task.dropout,
        seed=config.seed,
        pooling=config.task.pooling,
    )
    if fault := fault_of_length(config, model.config.to_dict()):
        raise ModelError(str(fault))
    return model, tokenizer


def _outputs(text: TextData) -> int:
    """Classes, or 1 for a regression."""
    return 1 if text.label_names is None else len(text.label_names)


def _tokenize(text: TextData, tokenizer: PreTrainedTokenizerBase, config: RunConfig) -> Splits:
    def tokens(table: Any) -> Tokenized:
        return tokenize(table, tokenizer, config.data.max_length, config.paths.cache_dir)

    selection = None if text.selection is None else tokens(text.selection)
    return Splits(tokens(text.train), selection, {name: tokens(table) for name, table in text.reports.items()})


def _rank(model: PreTrainedModel, seen: Evidence, config: RunConfig) -> int | None:
    if config.target is None:
        return None
    table = cast(nn.Embedding, model.get_input_embeddings()).weight
    return config.target.rank_of(config.factorization, table, seen, config.kept)


def _shrink(model: PreTrainedModel, rank: int | None, seen: Evidence, config: RunConfig) -> None:
    """Put the smaller embedding in the place of the table, as it will be trained."""
    compress(model, config.factorization, rank, evidence=seen, seed=config.seed, storage=config.kept)
    if config.quantization == "aware":
        imitate(model, config.kept)


def _evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    splits: Splits,
    config: RunConfig,
    directory: Path,
    device: str,
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
            device=torch.device(device),
        )
        if rows.labels is None:
            raise UserError(f"{config.data.name} has no labels in {split}; report on a split that has them")
        metrics[split] = score(config.data.metrics, logits[split], rows.labels)
    write_predictions(directory, splits.reports, logits)
    return metrics


def _size(model: PreTrainedModel, weights: Path, names: list[str] | None = None) -> Size:
    return Size(model_size(model, names).parameters, saved_bytes(weights, names))


def _selection(splits: Splits, config: RunConfig, fitted: dict[str, Any]) -> dict[str, Any] | None:
    if splits.selection is None:
        return None
    return {
        "rows": len(splits.selection),
        "metric": config.data.metrics[0],
        **{name: fitted[name] for name in ("best_epoch", "value", "history")},
    }


def _training(config: RunConfig, trained: Trained) -> dict[str, Any]:
    fitted = trained.fitted
    return {
        "steps": fitted["steps"],
        "epochs": fitted["epochs"],
        "threads": trained.threads,
        "device": torch.device(fitted["device"]).type,
        "devices": config.trainer.devices,
        "precision": config.trainer.precision,
        "batch_rows": fitted.get("batch_rows"),
        "refactorize": None if fitted["projections"] is None else [dict(entry) for entry in fitted["projections"]],
    }
