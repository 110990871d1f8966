"""Running again what did not end well, from the configuration that each run directory holds.

Light to import: no torch, and no Hydra.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from embfact.config import RunConfig
from embfact.errors import ConfigError, ModelError, UserError
from embfact.lifecycle.lock import acquire
from embfact.lifecycle.status import LOCK, Status, read_status, write_status
from embfact.lifecycle.survey import RESUME, RunState, look
from embfact.records.identity import identify
from embfact.records.record import FILE_NAME as RECORD
from embfact.records.record import read

CONFIG = "config.yaml"
# How the parts of a hash are called that are no options.
_NAMES = {"data_fingerprint": "the data", "model_fingerprint": "the backbone", "results_version": "embfact"}


@dataclass(frozen=True)
class Retry:
    """A run that is to be done again.

    Attributes:
        run: How it stands.
        config: What to do; None if it cannot be done again.
        words: What will be done, or why it cannot be.
        afresh: Whether what its last attempt has left is to be removed first.
    """

    run: RunState
    config: RunConfig | None
    words: str
    afresh: bool = False


def plan_retry(run: RunState) -> Retry:
    """What it takes to do a run again.

    A run that diverged starts from scratch: its checkpoint leads to the same end. A run whose data, configuration or
    libraries have changed is another run, with a directory of its own.

    Args:
        run: A run that is not being done.
    """
    try:
        config = _config(run)
        identity = identify(config)
    except ConfigError as error:
        faults = "; ".join(map(str, error.faults))
        return Retry(run, None, f"its configuration fits this embfact no more: {faults}; start it with train.py")
    except (UserError, OSError) as error:
        return Retry(run, None, f"it cannot start: {error}")
    if identity.hash != run.hash:
        changed = ", ".join(_changes(_science(run), identity.science)) or "what it is known by"
        words = f"not the same run any more ({changed}): done from the start as {identity.name}; prune the old one"
        return Retry(run, config, words)
    if identity.directory.name != run.directory.resolve().name:
        return Retry(run, config, f"its directory was renamed: done from the start in {identity.directory}")
    afresh = run.state == "diverged"
    goes_on = config.resume and not afresh and (run.directory / RESUME).is_dir()
    return Retry(run, config, "goes on from its checkpoint" if goes_on else "from the start", afresh)


def start_afresh(run: RunState) -> bool:
    """Remove what the last attempt at a run has left, so that it is pending again.

    Returns:
        False if another process is at work in its directory; nothing is changed then.

    Raises:
        OSError: If the directory cannot be written to.
    """
    lock = acquire(run.directory / LOCK)
    if lock is None:
        return False
    with lock:
        now = look(run.directory, lock_is_ours=True)
        if now is None or now.state != run.state:
            return False
        rmtree(run.directory / RESUME, ignore_errors=True)
        # At no moment without a status or a record: it would be lost to who looks for what is still to be done.
        write_status(Status(name=run.name, hash=run.hash, state="pending", science=_science(run)), run.directory)
        (run.directory / RECORD).unlink(missing_ok=True)
    return True


def _config(run: RunState) -> RunConfig:
    """The configuration of a run, as it is to be done again: by itself, and where it lies now.

    Raises:
        UserError: If there is none that can be read; `ConfigError` if it is not valid any more.
    """
    directory = run.directory
    here = directory.parent if directory.name else directory.resolve().parent
    alone = {"output_dir": str(here), "baseline": False, "force": False, "plan": False}
    return RunConfig.parse(_values(directory) | alone)


def _values(directory: Path) -> dict[str, Any]:
    """The values of ``config.yaml``; of the record where there is none."""
    from omegaconf import OmegaConf
    from yaml import YAMLError

    path = directory / CONFIG
    if not path.exists():
        return read(directory).config
    try:
        values = OmegaConf.to_container(OmegaConf.load(path))
    except (YAMLError, OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({str(error).splitlines()[0]}); start the run with train.py") from None
    if not isinstance(values, dict) or not values:
        raise UserError(f"{path} holds no options; start the run with train.py")
    return {str(name): value for name, value in values.items()}


def _science(run: RunState) -> dict[str, Any]:
    """What the hash of a run was taken over; empty if that is not known."""
    status = read_status(run.directory)
    if status and status.science:
        return status.science
    try:
        return read(run.directory).science
    except ModelError:
        return {}


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Every value that differs, in words."""
    words = []
    for name in sorted({*before, *now} if before else ()):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            words += _changes(old, new, f"{prefix}{name}.")
        elif old != new and name in _NAMES:
            words.append(f"{_NAMES[name]} changed")
        elif old != new:
            words.append(f"{prefix}{name} was {old}, is {new}")
    return words
