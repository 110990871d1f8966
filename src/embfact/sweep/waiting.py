"""Runs that other processes are at: waited for, and taken over where they are left unfinished."""

from __future__ import annotations

import time
from collections.abc import Sequence

from embfact.log import say
from embfact.runs.outcome import Outcome
from embfact.runs.planned import PlannedRun, ended_elsewhere
from embfact.runs.status import LOCK
from embfact.system.lock import holder
from embfact.system.signals import check

LOOK_EVERY = 0.5  # seconds between two looks at a run that another process is at


def wait_for(busy: Sequence[PlannedRun], outcomes: dict[str, Outcome]) -> list[PlannedRun]:
    """Wait for runs that other processes are at; gives those that were left unfinished there and can be had now."""
    if busy:
        say(f"waiting for {len(busy)} run{'s' if len(busy) > 1 else ''} that another process is at")
    free: list[PlannedRun] = []
    while busy and not free:
        still = []
        for run in busy:
            if run.identity and holder(run.identity.directory / LOCK):
                still.append(run)
                continue
            if outcome := ended_elsewhere(run):
                outcomes[run.key] = outcome
            else:
                free.append(run)
        busy = still
        check()
        time.sleep(0 if free or not busy else LOOK_EVERY)
    # Those still busy are looked at again with the next round.
    return [*free, *busy]
