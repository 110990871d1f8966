"""A run from the outside: its lock, its log, its status, and a record whatever happens."""

from __future__ import annotations

import errno
import logging
import traceback
from typing import Any

from embfact.config import RunConfig
from embfact.errors import DivergedError, UserError
from embfact.launchers.outcome import Outcome
from embfact.lifecycle.attempt import Attempt
from embfact.lifecycle.interruption import Interrupted, interruptible, last_words
from embfact.lifecycle.lock import acquire
from embfact.lifecycle.publishing import send
from embfact.lifecycle.status import LOCK
from embfact.log import run_log
from embfact.records import record as records
from embfact.records.config_file import write_config
from embfact.records.frame import frame_of
from embfact.records.identity import Identity
from embfact.records.record import RunRecord
from embfact.records.resources import release_memory
from embfact.run import discard_weights, run
from embfact.sweep import finished_record
from embfact.tracking import Tracker

log = logging.getLogger(__name__)

_NO_ROOM = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


def execute(config: RunConfig, identity: Identity) -> Outcome:
    """Do a run and write its record; a failure is a record too.

    Args:
        config: What to do.
        identity: Its hash, name and directory.

    Returns:
        What came of it; ``busy`` if another process is at it.

    Raises:
        Interrupted: If a signal asked to stop; what can be gone on with is kept, and the status says so.
    """
    try:
        lock = acquire(identity.directory / LOCK)
        if lock is None:
            return Outcome("busy")
        with lock:
            # Another sweep may have done it since this one was planned.
            done = None if config.force else finished_record(identity, config)
            if done:
                return Outcome("finished" if done.status == "finished" else "diverged", message_of(done), done)
            with interruptible(), run_log(identity.directory):
                return _attempt(config, identity)
    except OSError as error:
        # The run directory cannot be made or written to: nothing of this run stays, the others go on.
        record = _failure(frame_of(config, identity), error, {"total": 0.0})
        return Outcome("failed", message_of(record), record)
    finally:
        release_memory()


def message_of(record: RunRecord) -> str:
    """Why a run has no result; empty if it has one."""
    return record.error.message if record.error else ""


def _attempt(config: RunConfig, identity: Identity) -> Outcome:
    log.info("embfact %s", identity.name)
    attempt = Attempt(identity, resume=config.resume and not config.force)
    life = attempt.life
    with last_words(lambda reason: life.end("interrupted", reason)):
        try:
            write_config(config, identity.directory)
            record = _record(config, identity, attempt)
            _keep(record, config, identity, attempt)
        except Interrupted as interrupted:
            life.end("interrupted", str(interrupted))
            raise
        life.end(record.status, message_of(record) or None)
        unpublished = send(config, identity) if record.status == "finished" else ""
        return Outcome(record.status, message_of(record), record, unpublished)


def _record(config: RunConfig, identity: Identity, attempt: Attempt) -> RunRecord:
    """Do a run, with W&B opened before it and closed after it whatever happens."""
    frame = frame_of(config, identity)
    tracker, succeeded = Tracker(config, identity, attempt.life.status.wandb_id), False
    try:
        record = run(config, identity, attempt, tracker.loggers, frame)
        tracker.summarize(record)
        succeeded = True
    except Interrupted:
        attempt.life.end("interrupted", "interrupted; closing")
        raise
    except Exception as error:
        log.error("the run failed:\n%s", traceback.format_exc())
        record = _failure(frame, error, attempt.watch.seconds())
    finally:
        tracker.close(succeeded)
    return record


def _keep(record: RunRecord, config: RunConfig, identity: Identity, attempt: Attempt) -> None:
    """Write the record; what a finished run needs no more goes after it, not before."""
    attempt.life.enter("recording")
    finished = record.status == "finished"
    # A forced run that fails does not take the place of one that finished.
    if finished or not records.is_finished(identity.directory, identity.hash):
        records.write(record, identity.directory)
    if finished or record.status == "diverged":
        attempt.states.clear()
    if finished and config.checkpoint == "none":
        discard_weights(identity.directory)


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
