"""``runs.py list``: a line for each run, and how many are in each state; imports no torch."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from embfact.formatting.numbers import duration
from embfact.runs.survey import STATES, RunState

HEAD = ("status", "name", "age", "duration", "metric", "message")
LEAST_MESSAGE = 20  # columns of a message, however narrow the terminal
ORDERS: dict[str, Callable[[RunState], Any]] = {
    "name": lambda run: run.name,
    "age": lambda run: -run.changed,  # newest first
    "duration": lambda run: -(run.seconds or 0),  # longest first
}
_UNITS = (("day", 86400), ("h", 3600), ("min", 60), ("s", 1))


def table(runs: Sequence[RunState], width: int | None = None) -> list[str]:
    """A header and an aligned line for each run; messages are truncated to a width in columns, if given."""
    now = time.time()
    lines = [HEAD, *(_cells(run, now) for run in runs)]
    widths = [max(map(len, column)) for column in list(zip(*lines, strict=True))[:-1]]
    room = None if width is None else max(LEAST_MESSAGE, width - sum(widths) - 2 * len(widths))
    form = "  ".join(f"{{:<{column}}}" for column in widths) + "  {}"

    def cut(message: str) -> str:
        return message if room is None or len(message) <= room else f"{message[: room - 1].rstrip()}…"

    return [form.format(*cells, cut(message)).rstrip() for *cells, message in lines]


def counts(runs: Sequence[RunState]) -> str:
    """How many runs are in each state: ``12 runs: 9 finished, 3 failed``."""
    numbers = Counter(run.state for run in runs)
    parts = [f"{numbers[state]:,} {state}" for state in STATES if numbers[state]]
    total = f"{len(runs):,} run{'' if len(runs) == 1 else 's'}"
    return f"{total}: {', '.join(parts)}" if parts else total


def as_json(runs: Iterable[RunState]) -> str:
    """Everything that is known about each run, as a JSON array."""
    now = time.time()
    entries = []
    for run in runs:
        values = asdict(run)
        place, changed = values.pop("place"), values.pop("changed")
        entries.append({"directory": place, **values, "age": round(now - changed, 1)})
    return json.dumps(entries, indent=2, ensure_ascii=False)


def age(changed: float, now: float) -> str:
    """How long ago something was: ``3 min ago``."""
    seconds = max(0.0, now - changed)
    unit, size = next((pair for pair in _UNITS if seconds >= pair[1]), _UNITS[-1])
    number = int(seconds // size)
    return f"{number} {unit}{'s' if unit == 'day' and number > 1 else ''} ago"


def reason(run: RunState) -> str:
    """Why a run is not finished and how far it is, on one line; empty for a finished one."""
    if run.state == "finished":
        return ""
    message = " ".join(run.message.split())
    return f"{message} ({run.progress})" if message and run.progress else message or run.progress


def headline(run: RunState) -> str:
    """The first metric times 100, with its name; empty for a run without one."""
    if not run.metric:
        return ""
    return f"{run.metric} undefined" if run.value is None else f"{run.metric} {run.value:.1f}"


def _cells(run: RunState, now: float) -> tuple[str, ...]:
    took = "" if run.seconds is None or run.state == "pending" else duration(run.seconds)
    return run.state, run.name, age(run.changed, now), took, headline(run), reason(run)
