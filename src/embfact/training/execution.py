"""A run from the outside: its lock, its log, its status, and a record whatever happens."""

from __future__ import annotations

import errno
import logging
import traceback
from contextlib import suppress
from dataclasses import replace
from shutil import rmtree
from typing import Any

from embfact.config.run_config import RunConfig
from embfact.config.sections import CHECKPOINT
from embfact.errors import DivergedError, UserError
from embfact.log import run_log
from embfact.runs import record as records
from embfact.runs.attempt import Attempt
from embfact.runs.config_file import write_config
from embfact.runs.frame import frame_of
from embfact.runs.identity import Identity, identify
from embfact.runs.outcome import Outcome, outcome_of
from embfact.runs.planned import PlannedRun, ended_elsewhere
from embfact.runs.publishing import send
from embfact.runs.record import RunRecord
from embfact.runs.status import LOCK, State
from embfact.system.lock import Lock, acquire
from embfact.system.resources import release_memory
from embfact.system.signals import Interrupted, interruptible, last_words
from embfact.training.run import run
from embfact.training.wandb_logger import Tracker

log = logging.getLogger(__name__)

_NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


def execute(planned: PlannedRun) -> Outcome:
    """Do a run and write its record; a failure is a record too.

    Args:
        planned: What to do, under which name.

    Returns:
        What came of it; ``busy`` if another process is at it.

    Raises:
        Interrupted: If a signal asked to stop; what can be gone on with is kept, and the status says so.
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
                return _attempt(config, identity, lock)
    except OSError as error:
        # The run directory cannot be made or written to: nothing of this run stays, the others go on.
        return outcome_of(_failure(frame_of(config, identity), error, {}))
    finally:
        release_memory()


def _attempt(config: RunConfig, identity: Identity, lock: Lock) -> Outcome:
    log.info("embfact %s", identity.name)
    frame = frame_of(config, identity)
    attempt = Attempt(identity, resume=config.resume and not config.force)
    life = attempt.life
    with last_words(lambda reason: life.end("interrupted", reason)):
        try:
            write_config(config, identity.directory)
            record = _record(config, identity, attempt, lock, frame)
        except Interrupted as interrupted:
            life.end("interrupted", str(interrupted))
            raise
        outcome = outcome_of(record)
        if lock.is_held():  # or another machine has the directory, and tells of itself there
            life.end(record.status, outcome.message or None)
    unpublished = send(config, identity) if record.status == "finished" else ""
    return replace(outcome, unpublished=unpublished)


def _record(config: RunConfig, identity: Identity, attempt: Attempt, lock: Lock, frame: dict[str, Any]) -> RunRecord:
    """Do a run and keep its record, with W&B closed after it whatever happens."""
    tracker = Tracker(config, identity, attempt.life.status.wandb_id)
    ended: State = "interrupted"
    try:
        record = run(config, identity, attempt, tracker.loggers, frame)
        tracker.summarize(record)
        _keep(record, config, identity, attempt, lock)
        ended = "finished"
    except Interrupted:
        # Told before W&B is closed, which may take longer than there is time.
        attempt.life.end("interrupted", "interrupted")
        raise
    except Exception as error:
        ended = "failed"
        log.error("the run failed:\n%s", traceback.format_exc())
        record = _failure(frame, error, attempt.watch.seconds())
        with suppress(OSError):  # of a disk that is full: the status says what it can
            _keep(record, config, identity, attempt, lock)
        tracker.summarize(record)
    finally:
        tracker.close(ended)
    return record


def _keep(record: RunRecord, config: RunConfig, identity: Identity, attempt: Attempt, lock: Lock) -> None:
    """Write the record; what a finished run needs no more goes after it, not before.

    Raises:
        OSError: If there is no room for it, or the run is another machine's by now.
    """
    attempt.life.enter("recording")
    if not lock.is_held():
        raise OSError(f"another machine has taken over {identity.name}, since this one gave no sign of life")
    finished = record.status == "finished"
    # A forced run that fails does not take the place of one that finished.
    if finished or not records.is_finished(identity.directory, identity.hash):
        records.write(record, identity.directory)
    if finished or record.status == "diverged":
        attempt.states.clear()
    if finished and config.checkpoint == "none":
        rmtree(identity.directory / CHECKPOINT, ignore_errors=True)


def _failure(frame: dict[str, Any], error: Exception, seconds: dict[str, float]) -> RunRecord:
    failure = {"type": type(error).__name__, "message": _in_words(error)}
    status = "diverged" if isinstance(error, DivergedError) else "failed"
    return RunRecord(**frame, status=status, error=failure, seconds=seconds)


def _lacks_room(error: BaseException | None) -> bool:
    """Whether a disk was full; libraries written in Rust tell it in words alone, others as the cause of an error."""
    if error is None:
        return False
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return True
    told = any(f"(os error {number})" in str(error) for number in _NO_ROOM)
    return told or _lacks_room(error.__cause__ or error.__context__)


def _in_words(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if _lacks_room(error):
        return f"there is no room to write in ({error}); free some, and give the same command again: it goes on"
    return f"{type(error).__name__}: {error}"
