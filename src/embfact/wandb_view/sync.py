"""The command that sends offline runs to W&B.

Given twice it sends nothing twice: W&B leaves a mark beside what it has sent and passes it over, and the id of a run is
the same in every attempt, so that what comes later goes on with the run that is there.
Light to import: the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from shlex import quote

_OFFLINE = "wandb/offline-run-*"  # what W&B calls the folder of a run, below the run directory


def sync_line(places: Iterable[Path]) -> str:
    """One line for a POSIX shell that sends all runs of the given sweep.

    Args:
        places: Run directories.

    Returns:
        ``wandb sync outputs/sweep/*/wandb/offline-run-*``; empty if nothing waits to be sent.
    """
    waiting = [place for place in places if _waits(place)]
    if len(waiting) == 1:
        return f"wandb sync {_pattern(waiting[0], _OFFLINE)}"
    folders = dict.fromkeys(place.parent for place in waiting)
    return " ".join(["wandb sync", *(_pattern(folder, f"*/{_OFFLINE}") for folder in folders)]) if folders else ""


def _waits(place: Path) -> bool:
    files = place.glob(f"{_OFFLINE}/*.wandb")
    return any(not file.with_name(f"{file.name}.synced").exists() for file in files)


def _pattern(folder: Path, below: str) -> str:
    # Only what is outside the quotes is a pattern for the shell.
    return f"{quote(str(folder))}/{below}"
