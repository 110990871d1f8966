"""The data of the page: compact JSON values.

Runs that are averaged share a group and a data set; see `embfact.results.result_table`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embfact.formatting.typed import typed
from embfact.results.chance import at_chance
from embfact.results.dashboard.compared import baseline_lines, comparisons, computed
from embfact.results.dashboard.facts import flat, share
from embfact.results.dashboard.sweep import Sweep
from embfact.results.dashboard.unrecorded import without_record
from embfact.results.looks import look_numbers
from embfact.results.result_table import ResultTable, Row
from embfact.results.table.notes import sources, warnings
from embfact.runs.curve import Curve, read_curves
from embfact.runs.listing import reason
from embfact.runs.record import RunRecord, Sizes
from embfact.runs.survey import RunState

if TYPE_CHECKING:
    from embfact.results.statistics.table_statistics import TableStatistics

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
_UNNAMED = "default"  # the experiment of runs that were given no name
_UNDER_WAY = ("pending", "running", "interrupted")


def payload(sweep: Sweep, statistics: TableStatistics | None = None) -> Values:
    """The data of the page.

    Args:
        sweep: The sweep.
        statistics: Those of its table against dense; computed if they are not given and there are predictions.

    Returns:
        ``figures`` (split and metric), ``datasets``, ``groups`` (runs to average), ``compared`` (groups with their
        dense rows), ``baselines``, ``importance``, ``dense`` (sizes of dense models), ``runs``, the shared ``facts``
        and ``steps`` of curves, and the notes. A run refers to its group, its figures, the sizes of its dense model
        and the steps of its curves by index in these lists.
    """
    table = sweep.table
    figures = list(dict.fromkeys((column.split, column.metric) for column in table.columns))
    statistics, importance = computed(table, statistics)
    groups = [_group(row) for row in table.rows]
    states = {state.hash: state for state in sweep.states}
    recorded = list(_recorded(table))
    dense = list(dict.fromkeys(tuple(_sizes(run.size.dense)) for run, _, _ in recorded if run.size))
    runs = [_run(run, place, label, figures, dense, states.get(run.hash)) for run, place, label in recorded]
    _mark_chance(table, figures, {entry["id"]: entry for entry in runs})
    runs += without_record(sweep, {run.hash for run, _, _ in recorded}, groups)
    steps: dict[tuple[int, ...], int] = {}
    for entry in runs:
        directory = entry.pop("place", None) or table.places.get(entry["id"])
        if directory and (curves := curves_of(Path(directory))):
            # Most runs log at the same steps.
            entry["curves"] = {
                name: (steps.setdefault(tuple(at), len(steps)), values) for name, (at, values) in curves.items()
            }
    facts = share([_document(run) for run, _, _ in recorded])
    for entry, own in zip(runs, facts.own, strict=False):
        entry["facts"] = own
    return {
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "name": _name(sweep),
        "places": list(sweep.places),
        "figures": figures,
        "datasets": [{"label": data.label, "difference": data.difference} for data in table.data],
        "groups": groups,
        "compared": comparisons(table, figures, statistics),
        "baselines": baseline_lines(table, figures),
        "importance": importance,
        "dense": dense,
        "facts": {"keys": facts.keys, "usual": facts.usual},
        "steps": list(steps),
        "runs": runs,
        "looks": look_numbers(group["method"] for group in groups),
        "sources": sources(table) if table.rows else [],
        "warnings": [
            *warnings(table),
            *(f"Not computed: {one}." for one in (statistics.problems if statistics else ())),
        ],
    }


def _name(sweep: Sweep) -> str:
    """The names of the experiments; of runs without one, the names of their folders."""
    names = dict.fromkeys(run.experiment for row in sweep.table.rows for run in row.runs)
    given = [name for name in names if name != _UNNAMED]
    return ", ".join(given or [place.rstrip("/").rpartition("/")[2] or place for place in sweep.places])


def _mark_chance(table: ResultTable, figures: list[tuple[str, str]], entries: dict[str, Values]) -> None:
    """Add to each run the figures in which it is not above the majority class, if any."""
    for place, figure in enumerate(figures):
        for column in (column for column in table.columns if (column.split, column.metric) == figure):
            for run in (run for row in table.rows for run in row.finished(column.data)):
                if at_chance(run, column):
                    entries[run.hash].setdefault("chance", []).append(place)


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
