"""Which runs used the same rows of the same data: what must not be averaged is a column of its own.

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
    """Runs that used the same rows of the same data.

    Attributes:
        label: Name of the data set, with a letter where one name stands for several versions: ``sst2 (b)``.
        key: What decides the rows: equal for runs on the same ones.
        example: One of the runs.
        difference: In words, what sets it apart from other versions of the same name; empty if there are none.
    """

    label: str
    key: str
    example: RunRecord = field(compare=False)
    difference: str = ""


def source_of(run: RunRecord) -> str:
    """What is known of a run's data before its rows are counted; equal for runs on the same."""
    return json.dumps([run.data.name, run.data.fingerprint, run.science.get("data")], sort_keys=True)


def rows_of(run: RunRecord) -> str:
    """What decides the rows of a finished run: the key of its `DataVersion`."""
    return source_of(run) + json.dumps(run.data.rows, sort_keys=True)


def versions_of(records: Iterable[RunRecord]) -> tuple[DataVersion, ...]:
    """The data sets of finished runs, in the order of their names."""
    by_name: dict[str, dict[str, RunRecord]] = defaultdict(dict)
    for run in records:
        if run.status == "finished":
            by_name[run.data.name].setdefault(rows_of(run), run)
    versions = []
    for name, runs in sorted(by_name.items()):
        # Ordered by content, not by the order of reading, so that the letters stay with the data.
        facts = {key: _facts(run) for key, run in sorted(runs.items())}
        varying = differing(facts.values())
        for place, (key, known) in enumerate(facts.items()):
            label = f"{name} ({_letter(place)})" if len(facts) > 1 else name
            versions.append(DataVersion(label, key, runs[key], describe_options(known, varying)))
    return tuple(versions)


def _letter(place: int) -> str:
    return chr(ord("a") + place) if place < 26 else str(place + 1)


def _facts(run: RunRecord) -> dict[str, Any]:
    rows = {f"rows {split}": count for split, count in run.data.rows.items()}
    return {"fingerprint": (run.data.fingerprint or "")[:8], **rows, **flat(run.science.get("data") or {})}
