"""Retrying unsuccessful runs from the configuration in their directory; imports neither torch nor Hydra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shutil import rmtree
from textwrap import shorten

from embfact.config.run_config import RunConfig
from embfact.errors import UserError
from embfact.runs.config_file import FILE_NAME as CONFIG
from embfact.runs.config_file import read_config
from embfact.runs.identity import Identity, identify
from embfact.runs.life import pending
from embfact.runs.planned import PlannedRun
from embfact.runs.record import FILE_NAME as RECORD
from embfact.runs.record import read
from embfact.runs.status import LOCK, RESUME, write_status
from embfact.runs.survey import RunState, look
from embfact.sweep.changes import changes
from embfact.system.lock import acquire

WIDTH = 300  # characters of why a run cannot be retried: one of another version may have a hundred errors


@dataclass(frozen=True)
class Retry:
    """A run to be retried.

    Attributes:
        run: Its present state.
        config: Its configuration; None if it cannot be retried.
        identity: Its identity now; another one than before if its data, options or libraries have changed.
        description: What will be done, or why it cannot be retried.
    """

    run: RunState
    config: RunConfig | None
    identity: Identity | None
    description: str

    @property
    def same(self) -> bool:
        """Whether it is still the same run."""
        return self.identity is not None and self.identity.hash == self.run.hash


def plan_retry(run: RunState) -> Retry:
    """Plan to retry a run that is not running."""
    try:
        config = _config(run)
        identity = identify(config)
    except (UserError, OSError) as error:
        return Retry(run, None, None, f"cannot be retried: {shorten(str(error), WIDTH, placeholder=' ...')}")
    if identity.hash != run.hash:
        description = f"has changed and is now {identity.name}, run from scratch; the old run stays until it is pruned"
    elif identity.directory.name != run.directory.resolve().name:
        description = f"run from scratch in {identity.directory}, since its directory was renamed"
    elif run.state != "diverged" and config.resume and (run.directory / RESUME).is_dir():
        description = "resumes from its checkpoint"
    else:
        description = "run from scratch"
    return Retry(run, config, identity, description)


def what_changed(retries: Sequence[Retry]) -> list[str]:
    """A line for each change of data, options or libraries that made some of them other runs."""
    return changes([PlannedRun(one.config, one.identity) for one in retries if one.config and not one.same])


def start_afresh(retry: Retry) -> bool:
    """Remove what the last attempt left, so that the run is pending again.

    A diverged run needs this: otherwise it is skipped, and its checkpoint leads to the same result.

    Returns:
        False if another process is working in its directory; nothing is changed then.

    Raises:
        OSError: If the directory cannot be written to.
    """
    directory = retry.run.directory
    lock = acquire(directory / LOCK)
    if lock is None or retry.identity is None:
        return False
    with lock:
        now = look(directory, lock_is_ours=True)
        if now is None or now.state != retry.run.state:
            return False
        rmtree(directory / RESUME, ignore_errors=True)
        # Never without both status and record: the run would not be found any more.
        write_status(pending(retry.identity), directory)
        (directory / RECORD).unlink(missing_ok=True)
    return True


def _config(run: RunState) -> RunConfig:
    """The configuration to retry a run with: without a baseline, in the place where it is now.

    Raises:
        UserError: If there is no readable, valid configuration.
    """
    directory = run.directory if run.directory.name else run.directory.resolve()
    kept = (directory / CONFIG).exists()
    config = read_config(directory) if kept else RunConfig.parse(read(directory).config)
    alone = {"output_dir": str(directory.parent), "baseline": False, "force": False, "plan": False}
    return config.model_copy(update=alone)
