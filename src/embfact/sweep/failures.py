"""The runs of a command that are not finished: how many, and why; each reason once.

Light to import: no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from embfact.runs.planned import Outcome, PlannedRun

# State -> what is said of one such run, and of several.
_SAID = {
    "failed": ("failed", "failed"),
    "diverged": ("diverged", "diverged"),
    "interrupted": ("interrupted", "were interrupted"),
    "problem": ("not run", "cannot start"),
    "unstarted": ("not run", "were not run"),
    "busy": ("not run", "were not run"),
    "unpublished": ("not published", "were not published"),
}
_FIXED = {
    "unstarted": "the sweep stopped before it (fail_fast=true)",
    "busy": "another process is running it; rerun the same command to collect its result",
}
_NUMBER = re.compile(r"(?<![\w./-])\d+(\.\d+)?(?![\w/-])")
_MOST = 5  # names of runs with one reason

Trouble = tuple[PlannedRun, str]


def unfinished(plan: Sequence[PlannedRun], outcomes: Mapping[str, Outcome]) -> list[str]:
    """A line for each reason why runs are not finished, by state, with the number and the names of its runs.

    Reasons that differ only in numbers, such as the step at which a loss became infinite, are counted as one.
    """
    found: dict[str, dict[str, list[Trouble]]] = {state: {} for state in _SAID}
    for run in plan:
        state, reason = _trouble(run, outcomes.get(run.key))
        if state:
            kind = _NUMBER.sub("#", reason.replace(run.title, "its name"))
            found[state].setdefault(kind, []).append((run, reason))
    return [line for state, reasons in found.items() for line in _lines(state, list(reasons.values()))]


def _lines(state: str, reasons: Sequence[Sequence[Trouble]]) -> Iterator[str]:
    one, several = _SAID[state]
    count = sum(map(len, reasons))
    if count == 1:
        ((run, reason),) = reasons[0]
        yield f"{one}: {run.title}: {reason}" + "".join(f" ({place})" for place in _tracebacks(state, [run]))
    elif count:
        start = f"{count} runs {several}: "
        for runs in sorted(reasons, key=len, reverse=True):
            names = [run.title for run, _ in runs]
            more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
            named = [", ".join(names[:_MOST]) + more, *_tracebacks(state, [run for run, _ in runs])]
            yield f"{start}{len(runs)} x {runs[0][1]} ({'; '.join(named)})"
            start = " " * len(start)


def _trouble(run: PlannedRun, outcome: Outcome | None) -> tuple[str, str]:
    """The state of a run, and why it is not finished; empty if it is."""
    if run.problem or run.identity is None:
        return "problem", run.problem or ""
    state = outcome.state if outcome else "unstarted"
    if outcome is None or state in _FIXED:
        return state, _FIXED[state]
    if state == "finished":
        return ("unpublished", outcome.unpublished) if outcome.unpublished else ("", "")
    return state, outcome.message


def _tracebacks(state: str, runs: Sequence[PlannedRun]) -> list[str]:
    """Where the first traceback of some runs is, if there is one."""
    logs = [run.identity.directory / "log.txt" for run in runs if run.identity]
    there = [log for log in logs if state in ("failed", "diverged") and log.is_file()]
    return [f"traceback in {log}" for log in there[:1]]
