"""The end of a command: the table, where everything is, and what is not finished."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shlex import quote

from embfact.formatting.numbers import with_share
from embfact.log import say, say_error
from embfact.results.wandb.access import home_of, sweep_state
from embfact.runs.planned import Outcome, PlannedRun, ended_elsewhere
from embfact.runs.record import Amount
from embfact.runs.status import LOCK, read_status
from embfact.sweep.failures import unfinished
from embfact.system.lock import holder
from embfact.system.signals import check

LOOK_EVERY = 0.5  # seconds between two looks at a run of another process

_OFFLINE = "wandb/offline-run-*"  # W&B's name for the folder of a run, below the run directory


def report(plan: Sequence[PlannedRun], outcomes: Mapping[str, Outcome], multirun: bool) -> int:
    """Print the table, the paths and every unfinished run; returns exit code 1 if there is one, else 0."""
    records = [outcome.record for outcome in outcomes.values() if outcome.record]
    places = [run.identity.directory for run in plan if run.identity]
    if records:
        from embfact.results.collect import Collected
        from embfact.results.result_table import build_table
        from embfact.results.table.notes import at_chance
        from embfact.results.table.render import render
        from embfact.results.table.request import TableRequest
        from embfact.results.table.terminal import terminal_width

        table = build_table(Collected(tuple(records)))
        folders = " ".join(sorted({str(place.parent) for place in places}))
        if not multirun:
            if size := records[0].size:
                say(f"embedding: {_sizes(size.embedding, size.dense.embedding)}")
                say(f"model: {_sizes(size.model, size.dense.model)}")
            for remark in at_chance(table):
                say(remark.text)
            if places[0].is_dir():
                say(f"wrote {places[0]}")
        elif table.columns:
            say(f"\n{render(table, request=TableRequest(reasons=False), width=terminal_width())}\nwrote {folders}")
            say(f"for table, tests, plots and dashboard in one folder: python scripts/report.py {folders}")
        else:  # all of them failed
            say(f"wrote {folders}")
    if records and multirun:
        from embfact.results.wandb.sweep import write_sweep

        if problem := write_sweep(plan, outcomes):
            say_error(problem)
    if line := sync_line(run.identity.directory for run in plan if run.identity and run.config.logger.used == "wandb"):
        say(f"to send the runs to W&B: {line}")
    for project in sorted({run.config.logger.project for run in plan if run.config.logger.used == "trackio"}):
        say(f"to see the runs: trackio show --project {quote(project)}")
    lines = unfinished(plan, outcomes)
    for line in lines:
        say_error(line)
    return 1 if lines else 0


def _sizes(size: Amount, dense: Amount) -> str:
    """Parameters and bytes as saved, each with its share of dense."""
    return f"{with_share(size.parameters, dense.parameters)} parameters, {with_share(size.bytes, dense.bytes, 'B')}"


def sync_line(places: Iterable[Path]) -> str:
    """A POSIX shell command that sends run directories, and the table of their sweep, to W&B; empty if all are sent.

    For example ``wandb sync outputs/sweep/*/wandb/offline-run-* outputs/sweep/wandb/offline-run-*``.
    """
    places = list(places)
    waiting = [place for place in places if _waiting(place)]
    if len(waiting) == 1:
        patterns = [_pattern(waiting[0], _OFFLINE)]
    else:
        patterns = [_pattern(folder, f"*/{_OFFLINE}") for folder in dict.fromkeys(place.parent for place in waiting)]
    sweeps = dict.fromkeys(place.parent for place in places)
    patterns += [_pattern(folder, _OFFLINE) for folder in sweeps if _waiting(folder)]
    patterns += _elsewhere(places)
    return " ".join(["wandb sync", *patterns]) if patterns else ""


def _elsewhere(places: Sequence[Path]) -> list[str]:
    """What waits in the folder WANDB_DIR, which may also contain runs of other programs."""
    folder = home_of(Path())
    waiting = _waiting(folder) if folder != Path() else []
    ids = {f"-{status.wandb_id}" for status in map(read_status, places) if status} if waiting else set()
    ids |= {f"-{sweep_state(place.parent).get('id')}" for place in places} if waiting else set()
    ours = [path for path in waiting if path.name[path.name.rfind("-") :] in ids]
    return [_pattern(folder, _OFFLINE)] if ours and ours == waiting else [quote(str(path)) for path in ours]


def _waiting(place: Path) -> list[Path]:
    """The attempts below a folder that have not been sent yet."""
    files = sorted(place.glob(f"{_OFFLINE}/*.wandb"))
    return list(dict.fromkeys(file.parent for file in files if not file.with_name(f"{file.name}.synced").exists()))


def _pattern(folder: Path, below: str) -> str:
    # The shell expands patterns only outside the quotes.
    return f"{quote(str(folder))}/{below}"


def wait_for(busy: Sequence[PlannedRun], outcomes: dict[str, Outcome]) -> list[PlannedRun]:
    """Wait for runs of other processes; returns those that were left unfinished there and can be run here now."""
    if busy:
        say(f"waiting for {len(busy)} run{'s' if len(busy) > 1 else ''} of another process")
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
    # Those still busy are checked again in the next round.
    return [*free, *busy]
