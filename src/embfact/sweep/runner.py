"""A request, conducted: planned, handed to a launcher, waited for where others are at it, and reported.

Light to import: torch and Lightning come with the first run that has to be done.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from embfact.config.compose import Request
from embfact.errors import UserError
from embfact.launchers.choice import launch
from embfact.launchers.sweep_task import SweepTask
from embfact.log import say, say_error
from embfact.results.wandb.sync import sync_line
from embfact.runs.outcome import Outcome
from embfact.runs.planned import PlannedRun, ended_elsewhere
from embfact.runs.publishing import send, with_published
from embfact.runs.status import LOCK
from embfact.sweep.changes import changes
from embfact.sweep.planner import describe, make_plan, with_baselines
from embfact.sweep.prepare import announce
from embfact.system.lock import holder
from embfact.system.signals import Interrupted, check, in_words, interruptible

LOOK_EVERY = 0.5  # seconds between two looks at a run that another process is at


def conduct(request: Request, conf_dir: Path) -> int:
    """Do what a valid request asks for and print what came of it.

    Args:
        request: Configurations, and the launcher of a sweep.
        conf_dir: The folder with ``train.yaml``.

    Returns:
        Exit code: 0, 1 if a run is not finished, 130 or 143 if it was interrupted.
    """
    try:
        with interruptible():
            return _conduct(request, conf_dir)
    except Interrupted as interrupted:
        again = "; with force=true it begins again from the start" if request.configs[0].force else ""
        say_error(f"embfact: {in_words(interrupted.signum)}{again}")
        return interrupted.exit_code
    except UserError as error:  # of a place that all runs share: the URL, the study
        say_error(f"embfact: {error}")
        return 1


def _conduct(request: Request, conf_dir: Path) -> int:
    plan = with_published(_plan(request))
    if request.configs[0].plan:
        say("\n".join([*(describe(plan) if plan else []), *changes(plan)]))
        return 1 if any(run.problem for run in plan) else 0
    outcomes = {run.key: _known(run) for run in plan if run.record}
    if outcomes:
        hint = "; with force=true they are trained again, and profiled" if request.configs[0].profile else ""
        done = sum(one.state == "finished" for one in outcomes.values())
        say(f"{done} of {len(plan)} runs are finished already{hint}")
    pending = [run for run in plan if run.pending]
    for line in [*announce(plan), *changes(plan)]:
        say(line)
    while pending:
        sweep = SweepTask(pending, fail_fast=request.configs[0].fail_fast)
        if request.multirun:
            launch(conf_dir, request, sweep)
        else:
            sweep.do_one()
        outcomes |= {run.key: sweep.outcomes[number] for number, run in enumerate(pending)}
        if sweep.stopped:
            break
        pending = _wait([run for run in pending if outcomes[run.key].state == "busy"], outcomes)
    return _report(plan, outcomes, request.multirun)


def _plan(request: Request) -> list[PlannedRun]:
    """The runs that are asked for; those of a search once it is done, or those that are known yet for ``plan=true``."""
    configs = with_baselines(request.configs) if request.multirun else list(request.configs)
    if not any(config.search.trials for config in configs):
        return make_plan(configs)
    from embfact import search

    if request.configs[0].plan:
        for line in search.describe(configs):
            say(line)
        return make_plan(search.known(configs))
    tuned = search.tune(configs, say)
    return [*make_plan(tuned.configs), *tuned.stuck]


def _known(run: PlannedRun) -> Outcome:
    record = run.record
    if record is None or record.status == "finished":
        here = None if run.elsewhere else run.identity
        return Outcome("finished", record=record, unpublished=send(run.config, here) if here else "")
    return Outcome("diverged", record.error.message if record.error else "", record)


def _wait(busy: Sequence[PlannedRun], outcomes: dict[str, Outcome]) -> list[PlannedRun]:
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


def _report(plan: Sequence[PlannedRun], outcomes: dict[str, Outcome], multirun: bool) -> int:
    """Print the table and the paths, and every run that is not finished; the exit code says whether all are."""
    records = [outcome.record for outcome in outcomes.values() if outcome.record]
    places = [run.identity.directory for run in plan if run.identity]
    if records and multirun:
        from embfact.results.collect import Collected
        from embfact.results.run_table import build_table
        from embfact.results.table.render import render

        folders = " ".join(sorted({str(place.parent) for place in places}))
        say(f"\n{render(build_table(Collected(tuple(records))))}\nwrote {folders}")
        say(f"table, tests, pictures and dashboard in one folder: python scripts/report.py {folders}")
    elif records:
        say(f"wrote {places[0]}")
    if line := sync_line(run.identity.directory for run in plan if run.identity and run.config.logger.mode != "none"):
        say(f"to send the runs to W&B: {line}")
    unfinished = [line for run in plan if (line := _unfinished(run, outcomes.get(run.key)))]
    for line in unfinished:
        say_error(line)
    return 1 if unfinished else 0


def _unfinished(run: PlannedRun, outcome: Outcome | None) -> str:
    """Why a run is not finished; empty if it is."""
    if run.problem or run.identity is None:
        return f"not run: {run.title}: {run.problem}"
    if outcome is None or outcome.state == "unstarted":
        return f"not run: {run.title}: the sweep stopped before it (fail_fast=true)"
    if outcome.state == "finished":
        return f"{run.title}: {outcome.unpublished}" if outcome.unpublished else ""
    if outcome.state == "busy":
        return f"not run: {run.title}: another process is at it; the same command takes what comes of it"
    log = run.identity.directory / "log.txt"
    where = f" (traceback in {log})" if outcome.state in ("failed", "diverged") and log.is_file() else ""
    return f"{outcome.state}: {run.title}: {outcome.message}{where}"
