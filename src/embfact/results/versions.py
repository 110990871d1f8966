"""Versions of data sets: runs on different rows or data must not be averaged and get separate columns.

Light to import: the standard library only.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from embfact.results.differences import describe_options, differing, flat
from embfact.runs.record import RunRecord


@dataclass(frozen=True)
class DataVersion:
    """A data set as used by some runs: the same rows of the same data.

    Attributes:
        label: Name of the data set, with a letter if the name has several versions: ``sst2 (b)``.
        key: Equal for runs on the same rows.
        example: One of the runs.
        difference: How it differs from other versions of the same name; empty if there are none.
    """

    label: str
    key: str
    example: RunRecord = field(compare=False)
    difference: str = ""


def source_of(run: RunRecord) -> str:
    """Identity of a run's data, known before its rows are counted."""
    return json.dumps([run.data.name, run.data.fingerprint, run.science.get("data")], sort_keys=True)


def rows_of(run: RunRecord) -> str:
    """Identity of the rows of a finished run: the key of its `DataVersion`."""
    return source_of(run) + json.dumps(run.data.rows, sort_keys=True)


def versions_of(records: Iterable[RunRecord]) -> tuple[DataVersion, ...]:
    """The data sets of finished runs, sorted by name."""
    by_name: dict[str, dict[str, RunRecord]] = defaultdict(dict)
    for run in records:
        if run.status == "finished":
            by_name[run.data.name].setdefault(rows_of(run), run)
    versions = []
    for name, runs in sorted(by_name.items()):
        # Sorted by content, so that the letters do not depend on the order of reading.
        facts = {key: _facts(run) for key, run in sorted(runs.items())}
        varying = differing(facts.values())
        for place, (key, known) in enumerate(facts.items()):
            letter = chr(ord("a") + place) if place < 26 else str(place + 1)
            label = f"{name} ({letter})" if len(facts) > 1 else name
            versions.append(DataVersion(label, key, runs[key], describe_options(known, varying)))
    return tuple(versions)


def _facts(run: RunRecord) -> dict[str, Any]:
    rows = {f"rows {split}": count for split, count in run.data.rows.items()}
    return {"fingerprint": (run.data.fingerprint or "")[:8], **rows, **flat(run.science.get("data") or {})}
