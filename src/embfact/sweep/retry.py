"""Running again what did not end well, from the configuration that each run directory holds.

Light to import: no torch, and no Hydra.
"""

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

WIDTH = 300  # of why a run cannot be done again: one that is from another version may have a hundred errors


@dataclass(frozen=True)
class Retry:
    """A run that is to be done again.

    Attributes:
        run: How it stands.
        config: What to do; None if it cannot be done again.
        identity: What that is; another run than it was if its data, options or libraries have changed.
        words: What will be done, or why it cannot be.
    """

    run: RunState
    config: RunConfig | None
    identity: Identity | None
    words: str

    @property
    def same(self) -> bool:
        """Whether it is still the run that it was."""
        return self.identity is not None and self.identity.hash == self.run.hash


def plan_retry(run: RunState) -> Retry:
    """What it takes to do a run again.

    Args:
        run: A run that is not being done.
    """
    try:
        config = _config(run)
        identity = identify(config)
    except (UserError, OSError) as error:
        return Retry(run, None, None, f"cannot be done again: {shorten(str(error), WIDTH, placeholder=' ...')}")
    if identity.hash != run.hash:
        words = f"is another run now, done from the start: {identity.name}; this one stays until it is pruned"
    elif identity.directory.name != run.directory.resolve().name:
        words = f"done from the start in {identity.directory}: its directory was renamed"
    elif run.state != "diverged" and config.resume and (run.directory / RESUME).is_dir():
        words = "goes on from its checkpoint"
    else:
        words = "done from the start"
    return Retry(run, config, identity, words)


def what_changed(retries: Sequence[Retry]) -> list[str]:
    """Why some are other runs now: their data, options or libraries, a line for each change."""
    return changes([PlannedRun(one.config, one.identity) for one in retries if one.config and not one.same])


def start_afresh(retry: Retry) -> bool:
    """Remove what the last attempt at a run has left, so that it is pending again.

    A run that diverged needs that: it is passed over otherwise, and its checkpoint leads to the same end.

    Returns:
        False if another process is at work in its directory; nothing is changed then.

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
        # At no moment without status and record: it would be lost to whoever looks for what is still to be done.
        write_status(pending(retry.identity), directory)
        (directory / RECORD).unlink(missing_ok=True)
    return True


def _config(run: RunState) -> RunConfig:
    """The configuration of a run as it is to be done again: by itself, and where it lies now.

    Raises:
        UserError: If there is none that can be read and is valid.
    """
    directory = run.directory if run.directory.name else run.directory.resolve()
    kept = (directory / CONFIG).exists()
    config = read_config(directory) if kept else RunConfig.parse(read(directory).config)
    alone = {"output_dir": str(directory.parent), "baseline": False, "force": False, "plan": False}
    return config.model_copy(update=alone)
