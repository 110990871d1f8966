"""Why a run is new although an earlier one has the same name but for the hash; imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from embfact.errors import ModelError
from embfact.formatting.typed import typed
from embfact.runs.planned import PlannedRun
from embfact.runs.record import read
from embfact.runs.status import read_status

DIGITS = 8  # of the hash, at the end of a run's name
# Changes that the user did not type: always reported.
_UNTYPED = ("data_fingerprint", "model_fingerprint", "teacher_fingerprint", "versions", "results_version")
_MOST = 3


def changes(plan: Sequence[PlannedRun]) -> list[str]:
    """One line for each change that makes runs new although earlier ones have the same name.

    A changed option is reported only if the earlier run is unfinished, since the user may expect to resume it. Changed
    data, weights, libraries and versions of embfact are always reported.
    """
    found: dict[str, list[str]] = {}
    for run in plan:
        if run.identity is None or run.record or (run.status and run.status.attempt):
            continue
        for directory in _namesakes(run.identity.directory):
            science, finished = _science(directory)
            differences = list(_differences(science, run.identity.science)) if science else []
            told = [text for key, text in differences if not finished or key.startswith(_UNTYPED)]
            if told:
                text = "; ".join(told[:_MOST]) + ("; ..." if len(told) > _MOST else "")
                found.setdefault(text, []).append(directory.name)
    return [
        f"{len(names)} {'runs are new; they differ' if len(names) > 1 else 'run is new; it differs'} from earlier ones "
        f"({names[0]}{', ...' if len(names) > 1 else ''}) in: {text}"
        for text, names in found.items()
    ]


def _namesakes(directory: Path) -> list[Path]:
    """Directories of runs with the same name but another hash."""
    stem = directory.name[:-DIGITS]
    return sorted(path for path in directory.parent.glob(f"{stem}{'[0-9a-f]' * DIGITS}") if path != directory)


def _science(directory: Path) -> tuple[Mapping[str, Any], bool]:
    """What decided the result of an earlier run, and whether it is finished."""
    try:
        record = read(directory)
        if record.status == "finished":
            return record.science, True
    except ModelError:
        pass
    status = read_status(directory)
    # A run that was never started has nothing to resume.
    return (status.science, False) if status and status.attempt else ({}, False)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key}", f"{prefix}{key} {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = typed(value)
    return text if len(text) <= 20 else f"{text[:8]}..."
