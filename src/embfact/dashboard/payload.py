"""What the page is told of a sweep: plain values that JSON knows, as few as it needs.

Runs that may be averaged share a group and a data set; `embfact.records.table` decides which may.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from embfact.dashboard.curves import read_curves
from embfact.dashboard.facts import share
from embfact.dashboard.sweep import Sweep
from embfact.factorization.layout import FLOAT32, Storage
from embfact.lifecycle.listing import reason
from embfact.lifecycle.status import read_status
from embfact.lifecycle.survey import RunState
from embfact.records.record import RunRecord, Sizes
from embfact.records.table import Row, Table, storage_words
from embfact.tables.notes import sources, warnings

Values = dict[str, Any]
# What the page shows elsewhere, or says twice (the hash is taken over a part of it); and where things lie
# on one machine, which decides nothing and is not for others to read.
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

    Args:
        sweep: What `read_sweep` read.

    Returns:
        ``figures`` (split and metric), ``datasets``, ``groups`` (what may be averaged), ``runs``, the shared ``facts``
        and the notes. A run refers to its group and its figures by their place in these lists.
    """
    table = sweep.table
    figures = list(dict.fromkeys((column.split, column.metric) for column in table.columns))
    groups = [_group(row) for row in table.rows]
    states = {state.hash: state for state in sweep.states}
    recorded = list(_recorded(table))
    runs = [_run(run, place, label, figures, states.get(run.hash)) for run, place, label in recorded]
    runs += _without_record(sweep, {run.hash for run, _, _ in recorded}, groups)
    _add_curves(runs, table.places)
    documents = [run.model_dump(mode="json", exclude=_LEFT_OUT) for run, _, _ in recorded]
    facts = share(documents)
    for entry, own in zip(runs, facts.own, strict=False):
        entry["facts"] = own
    return {
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "places": list(sweep.places),
        "figures": figures,
        "datasets": [{"label": data.label, "difference": data.difference} for data in table.data],
        "groups": groups,
        "dense": _dense(recorded),
        "facts": {"keys": facts.keys, "usual": facts.usual},
        "runs": runs,
        "sources": sources(table) if table.rows else [],
        "warnings": warnings(table),
    }


def _recorded(table: Table) -> Iterator[tuple[RunRecord, int, str]]:
    """Every run of a table with the place of its row and the label of its data."""
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


def _run(run: RunRecord, group: int, label: str, figures: list[tuple[str, str]], seen: RunState | None) -> Values:
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
        "values": {place: measured[figure] for place, figure in enumerate(figures) if figure in measured},
        "seconds": run.seconds.total,
    }


def _sizes(size: Sizes) -> list[int]:
    """In the order in which the page names them."""
    return [size.embedding.parameters, size.model.parameters, size.embedding.bytes, size.model.bytes]


def _dense(recorded: list[tuple[RunRecord, int, str]]) -> list[Values]:
    """The sizes of the dense model of each backbone."""
    found = {run.model.name: _sizes(run.size.dense) for run, _, _ in recorded if run.size}
    return [{"model": model, "sizes": sizes} for model, sizes in found.items()]


def _without_record(sweep: Sweep, recorded: set[str], groups: list[Values]) -> list[Values]:
    """Runs that are waiting, being done, stopped or damaged; groups that they need are added."""
    labels = {data.example.data.fingerprint: data.label for data in sweep.table.data}
    models = {run.model.fingerprint: run.model.name for row in sweep.table.rows for run in row.runs}
    runs: list[Values] = []
    for state in sweep.states:
        if state.hash in recorded:
            continue
        status = read_status(state.directory)
        science: Mapping[str, Any] = status.science if status else {}
        # The dense model asks for none.
        size = asked if isinstance(asked := science.get("size"), dict) else {}
        model = models.get(science.get("model_fingerprint"), "")
        runs.append(
            {
                "id": state.hash or state.place,
                "name": state.name,
                "group": _place_of(_planned(science, size, model), groups),
                "data": labels.get(science.get("data_fingerprint"), ""),
                "seed": science.get("seed"),
                "rank": size.get("rank"),
                "status": state.state,
                "message": reason(state),
                "sizes": None,
                "values": {},
                "seconds": state.seconds or None,
                "place": state.place,
            }
        )
    return runs


def _place_of(planned: Values, groups: list[Values]) -> int:
    """The group that a run will join, if only one fits what is known of it; else one of its own."""
    known = [key for key in ("model", "method", "storage", "size") if planned[key] or key != "model"]
    fitting = [place for place, group in enumerate(groups) if all(group[key] == planned[key] for key in known)]
    if len(fitting) == 1:
        return fitting[0]
    if planned not in groups:
        groups.append(planned)
    return groups.index(planned)


def _planned(science: Mapping[str, Any], size: Mapping[str, Any], model: str) -> Values:
    """What a status knows of a run; how its options differ from those of others is known by its record alone."""
    asked = {name: value for name, value in size.items() if name != "unit" and value is not None}
    words = [str(value) if name == "rank" else f"{name} {value}" for name, value in asked.items()]
    return {
        "model": model,
        "method": str(science.get("method", "")),
        "storage": _planned_storage(science),
        "size": " ".join(words),
        "setting": "",
        "dense": False,
    }


def _planned_storage(science: Mapping[str, Any]) -> str:
    if "storage" not in science:  # nothing is known of it
        return ""
    try:
        return storage_words(Storage.of_json(science), science.get("quantization")) or FLOAT32.format
    except ValueError:  # a storage of a later version
        return str(science["storage"])


def _add_curves(runs: list[Values], places: Mapping[str, Path]) -> None:
    for run in runs:
        directory = run.pop("place", None) or places.get(run["id"])
        curves = read_curves(Path(directory)) if directory else {}
        if curves:
            run["curves"] = curves
