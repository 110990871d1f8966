"""The actual state of many runs, from the records, statuses and locks of their directories.

A status is what its process last knew; if the process was killed, the lock is free. Fields are not validated one by
one, so that 20,000 runs are read in a second. Light to import: no torch.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic_core import from_json

from embfact.formatting.numbers import duration
from embfact.runs.record import FILE_NAME as RECORD
from embfact.runs.record import SCHEMA_VERSION
from embfact.runs.status import FILE_NAME as STATUS
from embfact.runs.status import LOCK
from embfact.system.lock import holder

Seen = Literal["pending", "running", "finished", "failed", "diverged", "interrupted", "damaged"]
STATES: tuple[Seen, ...] = get_args(Seen)
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunState:
    """The state of a run on disk.

    Attributes:
        place: Its directory as text: creating a path object would double the time.
        state: As in its status or record; ``damaged`` if these are unreadable or inconsistent.
        name: Its name; that of the directory if nothing is readable.
        hash: Its identity, SHA-256 in hex; empty if nothing is readable.
        changed: When it last changed, in seconds since 1970.
        message: Why it is not finished; may be empty.
        phase: What it is doing, or was doing when it stopped; None if unknown.
        step: Optimizer steps done.
        steps: Optimizer steps in all; None before training.
        loss: Training loss of its last step; None before training.
        seconds_left: Seconds until its training ends; None if unknown.
        threads: CPU threads that it uses; None if unknown.
        attempt: How often it was started; 0 if never, or if unknown.
        seconds: Wall time so far; None if unknown.
        metric: Name of the first metric of the first reported split; empty if there is none.
        value: Its value times 100; None if undefined.
    """

    place: str
    state: Seen
    name: str
    hash: str
    changed: float
    message: str = ""
    phase: str | None = None
    step: int = 0
    steps: int | None = None
    loss: float | None = None
    seconds_left: float | None = None
    threads: int | None = None
    attempt: int = 0
    seconds: float | None = None
    metric: str = ""
    value: float | None = None

    @property
    def directory(self) -> Path:
        """Its directory."""
        return Path(self.place)

    @property
    def progress(self) -> str:
        """Where it stopped, ``training, step 120 of 400``, or where it is: also loss and time left; may be empty."""
        if not self.phase or not self.step:
            return self.phase or ""
        told = [self.phase, f"step {self.step}" + (f" of {self.steps}" if self.steps else "")]
        if self.state == "running":
            told += [f"loss {self.loss:.3f}"] if self.loss is not None else []
            told += [f"about {duration(self.seconds_left)} left"] if self.seconds_left is not None else []
        return ", ".join(told)


class _UnreadableError(ValueError):
    """A file is damaged; the message tells which one and why."""


def survey(paths: Iterable[Path | str]) -> list[RunState]:
    """Every run below some directories, at any depth, sorted by name.

    Skips hidden folders (runs that are being deleted) and folders inside run directories. The directories may overlap.

    Raises:
        OSError: If a folder cannot be read.
    """
    found: dict[str, RunState] = {}
    for path in dict.fromkeys(str(Path(path)) for path in paths):
        real = os.path.realpath(path)
        for directory, entries in _run_directories(path):
            key = real + directory[len(path) :]
            if key not in found:
                found[key] = _look(directory, entries)
    return sorted(found.values(), key=lambda run: (run.name, run.place))


def look(directory: Path, *, lock_is_ours: bool = False) -> RunState | None:
    """The state of one run; None if the directory is not a run directory. `lock_is_ours`: the caller holds its lock."""
    try:
        entries = set(os.listdir(directory))  # noqa: PTH208 (only names are needed)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not entries & {RECORD, STATUS}:
        return None
    return _look(str(directory), entries - {LOCK} if lock_is_ours else entries)


def _run_directories(path: str) -> Iterator[tuple[str, Collection[str]]]:
    """Directories with a record or a status, and the names of their entries."""
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        try:
            # Names are enough for run directories; only the few folders above them need a scan.
            names = os.listdir(folder)  # noqa: PTH208
            if RECORD in names or STATUS in names:
                yield folder, names
                continue
            with os.scandir(folder) as entries:
                below = [entry for entry in entries if not entry.name.startswith(".")]
        except FileNotFoundError:  # removed since its parent was read
            continue
        waiting += [entry.path for entry in below if entry.is_dir(follow_symlinks=False)]


def _look(directory: str, entries: Collection[str]) -> RunState:
    status: Values | None = None
    try:
        problem = f"there is no intact {STATUS}"
        try:
            status = _read(directory, STATUS) if STATUS in entries else None
        except _UnreadableError as error:
            problem = str(error)
        if status and status["state"] == "running" and LOCK in entries and holder(Path(directory, LOCK)):
            return _of_status(directory, status, "running")
        record = _read(directory, RECORD) if RECORD in entries else None
        if record and not (status and _is_older(directory, record, status)):
            return _of_record(directory, record, status)
        if status:
            return _at_rest(directory, status)
    except _UnreadableError as error:
        problem = str(error)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"{RECORD} or {STATUS} is invalid ({type(error).__name__}: {error})"
    name, digest = (str((status or {}).get(key) or "") for key in ("name", "hash"))
    changed = max(_changed(directory, file) for file in (RECORD, STATUS))
    return RunState(directory, "damaged", name or Path(directory).name, digest, changed, problem)


def _is_older(directory: str, record: Values, status: Values) -> bool:
    """Whether a record belongs to an attempt before the status; a finished run stays finished."""
    if record["status"] == "finished" or status["state"] not in ("pending", "running", "interrupted"):
        return False
    return _changed(directory, STATUS) > _changed(directory, RECORD)


def _at_rest(directory: str, status: Values) -> RunState:
    """The state of a run without a record that no process is working on."""
    state = status["state"]
    if state == "finished":
        raise _UnreadableError(f"{STATUS} says finished, but {RECORD} is missing")
    if state != "running":
        return _of_status(directory, status, state)
    return _of_status(directory, status, "interrupted", "its process died without reporting why")


def _of_status(directory: str, status: Values, state: str, message: str | None = None) -> RunState:
    if state not in STATES:
        raise _UnreadableError(f"{STATUS} has the state {state!r}, which this version of embfact does not know")
    return RunState(
        directory,
        state,
        str(status["name"]),
        str(status["hash"]),
        _time(status["updated"]),
        message or status.get("message") or "",
        seconds=float(status.get("seconds") or 0.0),
        **_progress_of(status),
    )


def _of_record(directory: str, record: Values, status: Values | None) -> RunState:
    state, total = record["status"], float(record["seconds"]["total"])
    if record["schema_version"] != SCHEMA_VERSION or state not in ("finished", "failed", "diverged"):
        raise _UnreadableError(
            f"{RECORD} was written by another version of embfact (schema_version {record['schema_version']})"
        )
    metric, value = next((pair for split in record["metrics"].values() for pair in split.items()), ("", None))
    return RunState(
        directory,
        state,
        str(record["name"]),
        str(record["hash"]),
        _time(status["updated"]) if status else _time(record["started"]) + total,
        record["error"]["message"] if record.get("error") else "",
        seconds=total,
        metric=metric,
        value=None if value is None else 100 * float(value),
        **_progress_of(status or {}),
    )


def _progress_of(status: Values) -> dict[str, Any]:
    names = {"phase": None, "step": 0, "steps": None, "attempt": 0}
    names |= dict.fromkeys(("loss", "seconds_left", "threads"))
    return {name: status.get(name, usual) for name, usual in names.items()}


def _read(directory: str, name: str) -> Values:
    """The values of a file.

    Raises:
        _UnreadableError: If it cannot be read, is truncated, or is not a JSON object.
    """
    try:
        values = from_json(_content(f"{directory}/{name}"), cache_strings="keys")
    except OSError as error:
        raise _UnreadableError(f"{name} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise _UnreadableError(f"{name} is truncated or not JSON ({error})") from None
    if not isinstance(values, dict):
        raise _UnreadableError(f"{name} is not a JSON object")
    return values


def _content(path: str) -> bytes:
    # Twice as fast as opening thousands of file objects.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 2**16):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _changed(directory: str, name: str) -> float:
    try:
        return os.stat(f"{directory}/{name}").st_mtime  # noqa: PTH116
    except OSError:
        return 0.0


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
