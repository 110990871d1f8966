"""What is printed at the end of a command: the table, where everything is, and what is not finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from embfact.log import say, say_error
from embfact.results.wandb.sync import sync_line
from embfact.runs.outcome import Outcome
from embfact.runs.planned import PlannedRun


def report(plan: Sequence[PlannedRun], outcomes: Mapping[str, Outcome], multirun: bool) -> int:
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
