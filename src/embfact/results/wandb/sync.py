"""The command that sends offline runs to W&B.

Given twice it sends nothing twice: W&B leaves a mark beside what it has sent and passes it over, and the id of a run is
the same in every attempt, so that what comes later goes on with the run that is there.
Light to import: no W&B.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from shlex import quote

from embfact.results.wandb.access import home_of
from embfact.runs.status import read_status

_OFFLINE = "wandb/offline-run-*"  # what W&B calls the folder of a run, below the run directory


def sync_line(places: Iterable[Path]) -> str:
    """One line for a POSIX shell that sends all runs of the given sweep.

    Args:
        places: Run directories.

    Returns:
        ``wandb sync outputs/sweep/*/wandb/offline-run-*``; empty if nothing waits to be sent.
    """
    places = list(places)
    waiting = [place for place in places if _waiting(place)]
    if len(waiting) == 1:
        patterns = [_pattern(waiting[0], _OFFLINE)]
    else:
        patterns = [_pattern(folder, f"*/{_OFFLINE}") for folder in dict.fromkeys(place.parent for place in waiting)]
    patterns += _elsewhere(places)
    return " ".join(["wandb sync", *patterns]) if patterns else ""


def _elsewhere(places: Sequence[Path]) -> list[str]:
    """What waits in the folder of WANDB_DIR, where there may be runs of others as well."""
    folder = home_of(Path())
    waiting = _waiting(folder) if folder != Path() else []
    ids = {f"-{status.wandb_id}" for status in map(read_status, places) if status} if waiting else set()
    ours = [path for path in waiting if path.name[path.name.rfind("-") :] in ids]
    return [_pattern(folder, _OFFLINE)] if ours and ours == waiting else [quote(str(path)) for path in ours]


def _waiting(place: Path) -> list[Path]:
    """The attempts below a folder that were not sent yet."""
    files = sorted(place.glob(f"{_OFFLINE}/*.wandb"))
    return list(dict.fromkeys(file.parent for file in files if not file.with_name(f"{file.name}.synced").exists()))


def _pattern(folder: Path, below: str) -> str:
    # Only what is outside the quotes is a pattern for the shell.
    return f"{quote(str(folder))}/{below}"
