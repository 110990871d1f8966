"""Runs without a record: pending, running, stopped or damaged; their status determines their place on the page.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embfact.embeddings.layout import FLOAT32, Storage
from embfact.formatting.typed import typed
from embfact.results.dashboard.sweep import Sweep
from embfact.results.differences import describe_options, differing, flat
from embfact.results.result_table import DataVersion, ResultTable, describe_storage
from embfact.runs.listing import reason
from embfact.runs.status import read_status

Values = dict[str, Any]
# Shown by the row itself, or by its column.
_PLACED = frozenset({"data", "data_fingerprint", "method", "size", "storage", "storage_group", "seed"}) | {
    "teacher_fingerprint"
}


def without_record(sweep: Sweep, recorded: set[str], groups: list[Values]) -> list[Values]:
    """The data of runs without a record.

    Args:
        sweep: The sweep.
        recorded: Hashes of the runs with a record.
        groups: The groups of the table's rows, in table order; extended by those that these runs need.
    """
    models = {run.model.fingerprint: run.model.name for row in sweep.table.rows for run in row.runs}
    runs: list[Values] = []
    for state in sweep.states:
        if state.hash in recorded:
            continue
        status = read_status(state.directory)
        science: Mapping[str, Any] = status.science if status else {}
        # The dense model has no size.
        size = asked if isinstance(asked := science.get("size"), dict) else {}
        data, options = _data(sweep.table, science), _options(science)
        planned = _planned(science, size, models.get(science.get("model_fingerprint"), ""))
        runs.append(
            {
                "id": state.hash or state.place,
                "name": state.name,
                "group": _place_of(planned, options, groups, _others(sweep.table, options, data)),
                "data": data.label if data else "",
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


def _data(table: ResultTable, science: Mapping[str, Any]) -> DataVersion | None:
    """The data set of a run, if its options are unambiguous: one file may be several data sets."""
    fitting = [
        data
        for data in table.data
        if data.example.data.fingerprint == science.get("data_fingerprint")
        and data.example.science.get("data") == science.get("data")
    ]
    return fitting[0] if len(fitting) == 1 else None


def _options(science: Mapping[str, Any]) -> Values:
    """The options of a run by dotted name, except those shown by its row or column."""
    # Starting weights differ between seeds.
    apart = _PLACED | ({"model_fingerprint"} if "from_run" in (science.get("model") or {}) else set())
    return flat({name: value for name, value in science.items() if name not in apart})


def _others(table: ResultTable, options: Values, data: DataVersion | None) -> dict[int, list[Values]]:
    """The rows none of whose runs on this data have these options, with the options that they have."""
    known = [[_options(run.science) for run in (row.finished(data) if data else row.finished())] for row in table.rows]
    return {
        place: runs
        for place, runs in enumerate(known)
        if runs and not any(options.items() <= one.items() for one in runs)
    }


def _place_of(planned: Values, options: Values, groups: list[Values], others: Mapping[int, list[Values]]) -> int:
    """The group that a run will join if exactly one fits; otherwise a new one, described by its differing options."""
    known = [key for key in ("model", "method", "storage", "size") if planned[key] or key != "model"]
    named = [place for place, group in enumerate(groups) if all(group[key] == planned[key] for key in known)]
    fitting = [place for place in named if place not in others]
    if len(fitting) == 1:
        return fitting[0]
    rows = [one for place in named for one in others.get(place, ())]
    own = planned | {"setting": describe_options(options, differing([options, *rows]) if rows else ())}
    if own not in groups:
        groups.append(own)
    return groups.index(own)


def _planned(science: Mapping[str, Any], size: Mapping[str, Any], model: str) -> Values:
    """The row of a run, as far as its status determines it."""
    asked = {name: value for name, value in size.items() if name != "unit" and value is not None}
    sizes = [str(value) if name == "rank" else f"{name} {typed(value)}" for name, value in asked.items()]
    return {
        "model": model,
        "method": str(science.get("method", "")),
        "storage": _planned_storage(science),
        "size": " ".join(sizes),
        "setting": "",
        "dense": False,
    }


def _planned_storage(science: Mapping[str, Any]) -> str:
    if "storage" not in science:  # unknown
        return ""
    try:
        return describe_storage(Storage.of_json(science), science.get("quantization")) or FLOAT32.format
    except ValueError:  # a storage of a later version
        return str(science["storage"])
