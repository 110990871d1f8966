"""``runs.py list`` and ``runs.py show``: a line for each run, and everything about one; imports no torch."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from embfact.config.sections import CHECKPOINT
from embfact.errors import ModelError
from embfact.formatting.numbers import duration, short, with_share
from embfact.runs.record import RunRecord, read
from embfact.runs.status import LOCK, read_status
from embfact.runs.survey import STATES, RunState
from embfact.system.disk import bytes_below
from embfact.system.lock import holder

HEAD = ("status", "name", "age", "duration", "metric", "message")
LEAST_MESSAGE = 20  # columns of a message, however narrow the terminal
ORDERS: dict[str, Callable[[RunState], Any]] = {
    "name": lambda run: run.name,
    "age": lambda run: -run.changed,  # newest first
    "duration": lambda run: -(run.seconds or 0),  # longest first
}
LOG = "log.txt"
LOG_BYTES = 2**18  # at the end of a log, searched for its last traceback
LOG_LINES = 12  # shown of that traceback
_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")
_TRACEBACK = "Traceback (most recent call last):"
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


def details(run: RunState) -> list[str]:
    """Lines on a run: its state, its results, what went wrong, what is on disk, and what to do next."""
    facts = {
        "state": f"{run.state}" + (f", attempt {run.attempt}" if run.attempt else ""),
        "reason" if run.state != "running" else "doing": reason(run),
        "changed": age(run.changed, time.time()),
        "duration": "" if run.seconds is None else duration(run.seconds),
        "where": run.place,
        "process": _process(run),
        "hash": run.hash,
        **_results(run),
        "on disk": _contents(run.directory),
        "log": _log(run),
        "next": _remedy(run),
    }
    width = max(map(len, facts))
    lines = [run.name]
    for name, text in facts.items():
        first, *others = text.splitlines() or [""]
        lines += [f"  {name:<{width}}  {first}", *(f"  {'':<{width}}  {line}" for line in others)] if text else []
    return lines


def _process(run: RunState) -> str:
    status = read_status(run.directory)
    if run.state == "running" and (owner := holder(run.directory / LOCK)):
        return f"{owner.pid} on {owner.host}"
    return f"was {status.pid} on {status.host}" if status and status.pid else ""


def _results(run: RunState) -> dict[str, str]:
    """Metrics and sizes of a finished run."""
    if run.state != "finished":
        return {}
    try:
        record = read(run.directory)
    except ModelError as error:
        return {"record": str(error)}
    metrics = [
        f"{split}: "
        + ", ".join(
            f"{name} " + ("undefined" if value is None else f"{100 * value:.1f}") for name, value in found.items()
        )
        for split, found in record.metrics.items()
    ]
    return {"metrics": "\n".join(metrics), "sizes": _sizes(record)}


def _sizes(record: RunRecord) -> str:
    if record.size is None:
        return ""
    rows = []
    for part in ("embedding", "model"):
        size, dense = getattr(record.size, part), getattr(record.size.dense, part)
        parameters = with_share(size.parameters, dense.parameters)
        rows.append(f"{part}: {parameters} parameters, {with_share(size.bytes, dense.bytes, 'B')} of dense")
    return "\n".join(rows)


def _contents(directory: Path) -> str:
    sizes = {path.name + "/" * path.is_dir(): bytes_below(path) for path in sorted(directory.iterdir())}
    files = ", ".join(f"{name} {short(size)}B" for name, size in sizes.items() if not name.endswith(".lock"))
    return f"{short(sum(sizes.values()))}B: {files}"


def _log(run: RunState) -> str:
    """The end of the last traceback in the log of an unsuccessful run."""
    if run.state in ("finished", "running", "pending"):
        return ""
    try:
        with (run.directory / LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    if _TRACEBACK not in text:
        return ""
    lines = text[text.rindex(_TRACEBACK) :].splitlines()
    # It ends at the next log entry.
    end = next((number for number, line in enumerate(lines) if _LOG_LINE.match(line)), len(lines))
    shown = [line for line in lines[:end] if line.strip()][-LOG_LINES:]
    return "\n".join([f"end of the traceback in {run.directory / LOG}:", *shown])


def _remedy(run: RunState) -> str:
    place = shlex.quote(run.place)
    if run.state == "running":
        return "wait for it; the same train.py command started elsewhere waits too and does not run it twice"
    if run.state == "finished":
        kept = (run.directory / CHECKPOINT).is_dir()
        return f"python scripts/{'evaluate.py' if kept else 'table.py'} {place}"
    chosen = "" if run.state in ("failed", "diverged") else f" --status {run.state}"
    return f"python scripts/runs.py retry {place}{chosen}"
