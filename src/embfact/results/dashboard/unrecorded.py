"""Runs without a record: waiting, being done, stopped or damaged. Their status says where on the page they belong.

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
# Told by the row itself, or by its column.
_PLACED = frozenset({"data", "data_fingerprint", "method", "size", "storage", "storage_group", "seed"})


def without_record(sweep: Sweep, recorded: set[str], groups: list[Values]) -> list[Values]:
    """What the page is told of runs that have no record.

    Args:
        sweep: The sweep.
        recorded: Hashes of the runs that have one.
        groups: What is known of each row of the table, in its order; those that these runs need are added.
    """
    models = {run.model.fingerprint: run.model.name for row in sweep.table.rows for run in row.runs}
    runs: list[Values] = []
    for state in sweep.states:
        if state.hash in recorded:
            continue
        status = read_status(state.directory)
        science: Mapping[str, Any] = status.science if status else {}
        # The dense model asks for none.
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
    """The data set that a run will be of, if its options leave no doubt: one file may be several data sets."""
    fitting = [
        data
        for data in table.data
        if data.example.data.fingerprint == science.get("data_fingerprint")
        and data.example.science.get("data") == science.get("data")
    ]
    return fitting[0] if len(fitting) == 1 else None


def _options(science: Mapping[str, Any]) -> Values:
    """The options of a run by dotted name, but for those that its row or its column is named by."""
    # Weights that a run started from differ from seed to seed.
    apart = _PLACED | ({"model_fingerprint"} if "from_run" in (science.get("model") or {}) else set())
    return flat({name: value for name, value in science.items() if name not in apart})


def _others(table: ResultTable, options: Values, data: DataVersion | None) -> dict[int, list[Values]]:
    """The rows none of whose runs on this data has these options, and the options that they have."""
    known = [[_options(run.science) for run in (row.finished(data) if data else row.finished())] for row in table.rows]
    return {
        place: runs
        for place, runs in enumerate(known)
        if runs and not any(options.items() <= one.items() for one in runs)
    }


def _place_of(planned: Values, options: Values, groups: list[Values], others: Mapping[int, list[Values]]) -> int:
    """The group that a run will join, if only one fits what is known of it; else one of its own, with what is other."""
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
    """What a status knows of the row of a run."""
    asked = {name: value for name, value in size.items() if name != "unit" and value is not None}
    words = [str(value) if name == "rank" else f"{name} {typed(value)}" for name, value in asked.items()]
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
        return describe_storage(Storage.of_json(science), science.get("quantization")) or FLOAT32.format
    except ValueError:  # a storage of a later version
        return str(science["storage"])
