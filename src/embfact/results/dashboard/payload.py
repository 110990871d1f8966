"""The data of the page: compact JSON values.

Runs that are averaged share a group and a data set; see `embfact.results.result_table`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from embfact.formatting.typed import typed
from embfact.results.dashboard.sweep import Sweep
from embfact.results.dashboard.unrecorded import without_record
from embfact.results.looks import look_numbers
from embfact.results.result_table import ResultTable, Row
from embfact.results.table.notes import sources, warnings
from embfact.runs.curve import Curve, read_curves
from embfact.runs.listing import reason
from embfact.runs.record import RunRecord, Sizes
from embfact.runs.survey import RunState

Leaf = tuple[Any, ...]  # (value,), or () if a run has no such key: null is a value too
Values = dict[str, Any]

MOST_POINTS = 100  # per curve
# Shown elsewhere on the page, or redundant; and local paths, which are private and affect no result.
_LEFT_OUT: Any = {
    "schema_version": True,
    "science": True,
    "selection": {"history"},
    "hash": True,
    "config": {"paths", "output_dir", "output_url"},
}
_UNDER_WAY = ("pending", "running", "interrupted")


def payload(sweep: Sweep) -> Values:
    """The data of the page.

    Returns:
        ``figures`` (split and metric), ``datasets``, ``groups`` (runs to average), ``dense`` (sizes of dense models),
        ``runs``, the shared ``facts`` and the notes. A run refers to its group, its figures and the sizes of its dense
        model by index in these lists.
    """
    table = sweep.table
    figures = list(dict.fromkeys((column.split, column.metric) for column in table.columns))
    groups = [_group(row) for row in table.rows]
    states = {state.hash: state for state in sweep.states}
    recorded = list(_recorded(table))
    dense = list(dict.fromkeys(tuple(_sizes(run.size.dense)) for run, _, _ in recorded if run.size))
    runs = [_run(run, place, label, figures, dense, states.get(run.hash)) for run, place, label in recorded]
    runs += without_record(sweep, {run.hash for run, _, _ in recorded}, groups)
    for entry in runs:
        directory = entry.pop("place", None) or table.places.get(entry["id"])
        if directory and (curves := curves_of(Path(directory))):
            entry["curves"] = curves
    facts = share([_document(run) for run, _, _ in recorded])
    for entry, own in zip(runs, facts.own, strict=False):
        entry["facts"] = own
    return {
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "places": list(sweep.places),
        "figures": figures,
        "datasets": [{"label": data.label, "difference": data.difference} for data in table.data],
        "groups": groups,
        "dense": dense,
        "facts": {"keys": facts.keys, "usual": facts.usual},
        "runs": runs,
        "looks": look_numbers(group["method"] for group in groups),
        "sources": sources(table) if table.rows else [],
        "warnings": warnings(table),
    }


def _document(run: RunRecord) -> Values:
    """The details of a run on the page, with its configuration as typed on the command line."""
    document = run.model_dump(mode="json", exclude=_LEFT_OUT)
    return document | {"config": {name: typed(value) for name, value in flat(document["config"]).items()}}


def _recorded(table: ResultTable) -> Iterator[tuple[RunRecord, int, str]]:
    """Every run of a table with the index of its row and the label of its data."""
    for place, row in enumerate(table.rows):
        labels = {run.hash: data.label for data in table.data for run in [*row.failed(data), *row.finished(data)]}
        for run in row.runs:
            yield run, place, labels.get(run.hash, run.data.name)


def _group(row: Row) -> Values:
    size = row.target or (row.asked or "").removeprefix("r")
    return {
        "model": row.model,
        "method": row.method,
        "storage": row.storage or "float32",
        "size": size if row.size_name == "rank" or not size else f"{row.size_name} {size}",
        "setting": row.setting,
        "dense": row.dense,
    }


def _run(
    run: RunRecord,
    group: int,
    label: str,
    figures: list[tuple[str, str]],
    dense: list[tuple[int, ...]],
    seen: RunState | None,
) -> Values:
    measured = {(split, metric): value for split, found in run.metrics.items() for metric, value in found.items()}
    again = seen is not None and run.status != "finished" and seen.state in _UNDER_WAY
    return {
        "id": run.hash,
        "name": run.name,
        "group": group,
        "data": label,
        "seed": run.seed,
        "rank": run.method.rank,
        "status": seen.state if seen and again else run.status,
        "message": reason(seen) if seen and again else run.error.message if run.error else "",
        "sizes": _sizes(run.size) if run.size else None,
        "dense_sizes": dense.index(tuple(_sizes(run.size.dense))) if run.size else None,
        "values": {place: measured[figure] for place, figure in enumerate(figures) if figure in measured},
        "seconds": run.seconds.total,
    }


def _sizes(size: Sizes) -> list[int]:
    """In the order of AXES on the page."""
    return [size.embedding.parameters, size.model.parameters, size.embedding.bytes, size.model.bytes]


def curves_of(directory: Path) -> dict[str, Curve]:
    """The learning curves of a run directory: at most `MOST_POINTS` points each, with four significant digits."""
    curves = read_curves(directory, MOST_POINTS)
    return {name: (steps, [float(f"{value:.4g}") for value in values]) for name, (steps, values) in curves.items()}


@dataclass(frozen=True)
class Facts:
    """Documents as differences from the most common values.

    Attributes:
        keys: Dotted names.
        usual: The most common value of each key in a one-element list; an empty list if most documents lack the key.
        own: For each document the differing values, by index in `keys`.
    """

    keys: tuple[str, ...]
    usual: tuple[list[Any], ...]
    own: tuple[dict[int, list[Any]], ...]


def share(documents: Sequence[Mapping[str, Any]]) -> Facts:
    """Factor the common values out of nested JSON documents."""
    flats = [flat(document) for document in documents]
    keys = tuple(dict.fromkeys(key for known in flats for key in known))
    usual, own = [], tuple[dict[int, list[Any]], ...]({} for _ in flats)
    for place, key in enumerate(keys):
        leaves: list[Leaf] = [(known[key],) if key in known else () for known in flats]
        texts = [json.dumps(leaf, sort_keys=True) for leaf in leaves]
        commonest = Counter(texts).most_common(1)[0][0]
        usual.append(json.loads(commonest))
        for kept, text, leaf in zip(own, texts, leaves, strict=True):
            if text != commonest:
                kept[place] = list(leaf)
    return Facts(keys, tuple(usual), own)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves of a nested mapping by dotted name; lists and empty mappings are leaves."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) and value else {prefix + name: value}
    return found
