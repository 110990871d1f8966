"""One run from start to end: locked, logged, trained, scored, with a record whatever happens."""

from __future__ import annotations

import errno
import logging
import traceback
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from shutil import rmtree
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from embfact.config.run_config import RunConfig
from embfact.config.sections import CHECKPOINT
from embfact.errors import DivergedError, UserError
from embfact.log import run_log
from embfact.models import checkpoint
from embfact.models.compress import embedding_tensors
from embfact.models.size import model_size
from embfact.models.storage import store
from embfact.profiling.profile import Profile
from embfact.runs import record as records
from embfact.runs.attempt import Attempt
from embfact.runs.config_file import write_config
from embfact.runs.facts import facts_of
from embfact.runs.identity import Identity, identify
from embfact.runs.planned import Outcome, PlannedRun, ended_elsewhere, outcome_of
from embfact.runs.publish import send
from embfact.runs.record import ErrorPart, RunFacts, RunRecord, SelectionPart, TrainingPart
from embfact.runs.same_training import float_run
from embfact.runs.status import LOCK, State
from embfact.system.lock import Lock, acquire
from embfact.system.resources import release_memory
from embfact.system.signals import Interrupted, interruptible, last_lines
from embfact.tasks.reference import baselines
from embfact.tasks.sequence_classification import SELECTED_BY
from embfact.training.context import RunContext
from embfact.training.distributed import other_ranks
from embfact.training.factorize import as_saved, factorize
from embfact.training.fit import Fitted, fit
from embfact.training.score import saved_sizes, score_saved
from embfact.training.sizes import unsaved_sizes
from embfact.training.start import Splits, Start, data_module, load, outputs_of, use_threads
from embfact.training.tracker import Tracker
from embfact.training.trained import Trained, share_training, trained_of

log = logging.getLogger(__name__)

_NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


def run(planned: PlannedRun) -> Outcome:
    """Run a planned run and write its record, also if it fails.

    Returns:
        The outcome; ``busy`` if another process is running it.

    Raises:
        Interrupted: If a signal asked to stop; the training state is saved, and the status says so.
    """
    config, identity = planned.config, planned.identity or identify(planned.config)
    try:
        lock = acquire(identity.directory / LOCK)
        if lock is None:
            return Outcome("busy")
        with lock:
            if done := ended_elsewhere(planned):
                return done
            with interruptible(), run_log(identity.directory):
                return _run_locked(config, identity, lock)
    except OSError as error:
        # The run directory cannot be created or written to: this run leaves nothing behind, the others are unaffected.
        return outcome_of(_failure(facts_of(config, identity), error, {}, {}))
    except Exception as error:  # a bug fails this run, not the sweep
        return Outcome("failed", f"{type(error).__name__}: {error}")
    finally:
        release_memory()


def _run_locked(config: RunConfig, identity: Identity, lock: Lock) -> Outcome:
    """Train, score and write the record; report the end to the status and to W&B."""
    log.info("embfact %s", identity.name)
    facts = facts_of(config, identity)
    attempt = Attempt(identity, resume=config.resume and not config.force)
    life = attempt.life
    ended: State = "interrupted"
    known: dict[str, Any] = {}
    with last_lines(lambda reason: life.end("interrupted", reason)):
        try:
            write_config(config, identity.directory)
            tracker = Tracker(config, identity, life.status.wandb_id)
            profile = Profile(attempt.watch) if config.profile else None
            try:
                context = RunContext(config, identity, attempt, tracker.loggers, profile)
                record = _train_and_score(context, attempt, facts, known)
                tracker.summarize(record)
                _keep(record, config, identity, attempt, lock)
                ended = "finished"
            except Interrupted as interrupted:
                # Before W&B is closed, which may take too long.
                life.end("interrupted", str(interrupted))
                raise
            except Exception as error:
                ended = "failed"
                log.error("the run failed:\n%s", traceback.format_exc())
                record = _failure(facts, error, attempt.watch.seconds(), known)
                with suppress(OSError):  # on a full disk, the status still says what happened
                    _keep(record, config, identity, attempt, lock)
                tracker.summarize(record)
            finally:
                tracker.close(ended)
        except Interrupted as interrupted:
            life.end("interrupted", str(interrupted))
            raise
        outcome = outcome_of(record)
        if lock.is_held():  # otherwise another machine has the directory, and its status
            life.end(record.status, outcome.message or None)
    unpublished = send(config, identity) if record.status == "finished" else ""
    return replace(outcome, unpublished=unpublished)


def _train_and_score(context: RunContext, attempt: Attempt, facts: RunFacts, known: dict[str, Any]) -> RunRecord:
    """The steps of a run in order: rows and backbone, factors, training, weights, scores, record.

    Args:
        context: The run.
        attempt: This attempt at it.
        facts: What was known before it started.
        known: Gets the fields of the record that are also known of a run that fails from here on.
    """
    config = context.config
    threads = use_threads(config, attempt)
    pl.seed_everything(config.seed, workers=True, verbose=False)
    start = load(context)
    splits = start.splits  # as the backbone encodes them, whatever the method makes of the tokenizer
    # Noted by an attempt that was interrupted after it had saved the weights.
    saved_earlier = attempt.trained()
    trained = trained_of(saved_earlier) if saved_earlier else None
    if not attempt.resumes and (other := float_run(config)):
        trained = share_training(other, context, attempt)
    if trained:
        start = as_saved(start, context)
    else:
        dense = {"embedding": model_size(start.model, embedding_tensors(start.model)), "model": model_size(start.model)}
        start, rank, refactorization = factorize(start, context)
        known["method"] = facts.method.model_copy(update={"rank": rank})
        with context.phase("training", "training"):
            data = data_module(start, config)
            quiet = replace(context, loggers=[], profile=None)
            fit_there = partial(fit, start.model, data, quiet, teacher=start.teacher)
            try:
                with other_ranks(
                    fit_there, devices=config.trainer.devices, directory=context.directory, seed=config.seed
                ):
                    fitted = fit(start.model, data, context, refactorization, teacher=start.teacher)
            except DivergedError:
                known["size"] = unsaved_sizes(start.model, config, rank, dense)
                raise
            del data, fit_there, refactorization
            _save(start, context)
            trained = Trained(rank, dense, threads, fitted)
            attempt.note_trained(asdict(trained))
    text, reports, fitted = start.text, start.splits.reports, trained.fitted
    del start  # frees the model, which is loaded again from its files
    with context.phase("evaluating", "evaluation"):
        try:
            scored = score_saved(context, reports, fitted.device)
        except DivergedError:
            known["size"] = {**dict(saved_sizes(context)), "dense": trained.dense}
            raise
    if context.profile:
        context.profile.report(context.identity.name, fitted.device, config.trainer.devices).write(context.directory)
    return facts.ended(
        "finished",
        data=facts.data.model_copy(update={"origin": text.origin, "rows": splits.rows}),
        method=facts.method.model_copy(update={"rank": trained.rank}),
        size={"embedding": scored.size.embedding, "model": scored.size.model, "dense": trained.dense},
        metrics=scored.metrics,
        # Computed once per sweep, and outside all phases, so that it does not add to the seconds of the first run.
        baselines=baselines(
            splits.train, splits.reports, config.data.metrics, outputs_of(text), config.paths.cache_dir
        ),
        selection=_selection(splits, config, fitted),
        training=_training(config, trained),
        seconds=attempt.watch.seconds(),
        peak_memory_bytes=attempt.peak_memory,
        attempts=attempt.life.status.attempt,
    )


def _save(start: Start, context: RunContext) -> None:
    """Save the trained weights in the requested storage format."""
    start.model.zero_grad()
    release_memory()  # of gradients and optimizer state, before saving and scoring need memory
    store(start.model, context.config.kept)
    checkpoint.save(start.model.cpu(), start.tokenizer, context.weights)


def _keep(record: RunRecord, config: RunConfig, identity: Identity, attempt: Attempt, lock: Lock) -> None:
    """Write the record, and only then remove what a finished run no longer needs.

    Raises:
        OSError: If the disk is full, or another machine has taken over the run.
    """
    attempt.life.enter("recording")
    if not lock.is_held():
        raise OSError(f"another machine has taken over {identity.name} after missing heartbeats of this one")
    finished = record.status == "finished"
    # A forced run that fails does not replace one that finished.
    if finished or not records.is_finished(identity.directory, identity.hash):
        records.write(record, identity.directory)
    if finished or record.status == "diverged":
        attempt.states.clear()
    if finished and config.checkpoint == "none":
        rmtree(identity.directory / CHECKPOINT, ignore_errors=True)


def _selection(splits: Splits, config: RunConfig, fitted: Fitted) -> SelectionPart | None:
    if splits.selection is None:
        return None
    return SelectionPart(
        rows=len(splits.selection),
        metric=SELECTED_BY,
        best_epoch=fitted.best_epoch,
        value=fitted.value,
        history=fitted.history,
    )


def _training(config: RunConfig, trained: Trained) -> TrainingPart:
    fitted = trained.fitted
    return TrainingPart(
        steps=fitted.steps,
        epochs=fitted.epochs,
        threads=trained.threads,
        device=torch.device(fitted.device).type,
        devices=config.trainer.devices,
        precision=config.trainer.precision,
        shared_with=trained.shared_with,
        batch_rows=fitted.batch_rows,
        refactorize=fitted.projections,
    )


def _failure(facts: RunFacts, error: Exception, seconds: dict[str, float], known: dict[str, Any]) -> RunRecord:
    failure = ErrorPart(type=type(error).__name__, message=_describe(error))
    status: Literal["diverged", "failed"] = "diverged" if isinstance(error, DivergedError) else "failed"
    return facts.ended(status, error=failure, seconds=seconds, **known)


def _describe(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if _lacks_room(error):
        return f"the disk is full ({error}); free some space and rerun the same command to resume"
    return f"{type(error).__name__}: {error}"


def _lacks_room(error: BaseException | None) -> bool:
    """Whether a disk was full; Rust libraries tell only in the message, others in the cause of the error."""
    if error is None:
        return False
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return True
    in_message = any(f"(os error {number})" in str(error) for number in _NO_ROOM)
    return in_message or _lacks_room(error.__cause__ or error.__context__)
