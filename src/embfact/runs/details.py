"""``runs.py show``: everything that is known about one run; imports no torch."""

from __future__ import annotations

import os
import re
import shlex
import time
from pathlib import Path

from embfact.config.sections import CHECKPOINT
from embfact.errors import ModelError
from embfact.formatting.numbers import duration, short, with_share
from embfact.runs.listing import age, reason
from embfact.runs.record import RunRecord, read
from embfact.runs.status import LOCK, read_status
from embfact.runs.survey import RunState
from embfact.system.disk import bytes_below
from embfact.system.lock import holder

LOG = "log.txt"
LOG_BYTES = 2**18  # at the end of a log, searched for its last traceback
LOG_LINES = 12  # shown of that traceback
_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")
_TRACEBACK = "Traceback (most recent call last):"


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
