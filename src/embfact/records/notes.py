"""What stands under a table: where its figures are from, and what is missing from it.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from textwrap import shorten

from embfact.records.record import RunRecord
from embfact.records.table import Column, DataVersion, Row, Table


def legend(table: Table) -> str:
    """How to read the figures."""
    models = sorted({row.model for row in table.rows})
    backbone = f"Backbone: {models[0]}. " if len(models) == 1 else ""
    targets = {row.target for row in table.rows if row.asked}
    target = f"Every size asked for by {targets.pop()}. " if len(targets) == 1 and any(targets) else ""
    stored = any(row.storage for row in table.rows)
    quantized = " Quantized tables count the parameters that they had before: compare their bytes." if stored else ""
    return (
        f"{backbone}{target}Metrics x 100, mean ± sample standard deviation over seeds. Sizes as saved, of the token "
        f"embedding (emb.) and of the model, in brackets as a share of dense.{quantized} Seconds: mean of a whole run."
    )


def sources(table: Table) -> list[str]:
    """For each data set: the splits and rows that its figures are from, the seeds; and which options were tuned."""
    searches = _searches(table)
    tuned = [f"{search}." for search in searches if search] if len(searches) == 1 else []
    return [*(_source(table, data) for data in table.data), *tuned]


def warnings(table: Table) -> list[str]:
    """What a reader must not overlook: missing seeds, unequal tuning, undefined metrics, failed runs, lost records."""
    failed = [run for row in table.rows for run in row.runs if run.status != "finished"]
    return [
        *_missing_seeds(table),
        *_unequal_tuning(table),
        *_undefined(table),
        *(f"{run.status.capitalize()}: {run.name}: {_reason(run)}" for run in failed),
        *(f"Left out: {problem}" for problem in table.problems),
    ]


def row_label(row: Row, table: Table) -> str:
    """A row in running text, e.g. ``svd r=64 (lr=2e-05)``."""
    several = len({other.model for other in table.rows}) > 1
    name = "r" if row.size_name == "rank" else row.size_name
    size = row.target or (f"{name}={row.ranks[0]}" if row.ranks else "")
    words = [row.model if several else "", row.label, size]
    return " ".join([*filter(None, words), *([f"({row.setting})"] if row.setting else [])])


def _source(table: Table, data: DataVersion) -> str:
    rows = data.example.data.rows
    metrics: dict[str, list[str]] = defaultdict(list)
    for column in table.columns:
        if column.data == data:
            metrics[column.split].append(column.metric)
    figures = ", ".join(f"{' and '.join(names)} on {split} ({_rows(rows, split)})" for split, names in metrics.items())
    seeds = set().union(*(table.seeds(data, row.model) for row in table.rows))
    held_out = f", {_rows(rows, 'selection')} of train held out to select on" if rows.get("selection") else ""
    apart = f" Kept apart from its namesakes: {data.difference}." if data.difference else ""
    note = f" {data.example.data.note}" if data.example.data.note else ""
    return f"{data.label}: {figures}; trained on {_rows(rows, 'train')}{held_out}; {_seeds(seeds)}.{apart}{note}"


def _rows(rows: dict[str, int], split: str) -> str:
    return f"{rows[split]:,} rows" if split in rows else "an unknown number of rows"


def _seeds(seeds: Iterable[int]) -> str:
    seeds = sorted(seeds)
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def _missing_seeds(table: Table) -> list[str]:
    lines = []
    for data in table.data:
        missing: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for row in table.rows:
            present = {run.seed for run in row.finished(data)}
            absent = table.seeds(data, row.model) - present
            if absent and (present or row.failed(data)):
                missing[tuple(sorted(absent))].append(row_label(row, table))
        lines += [f"{data.label}: {_seeds(seeds)} missing for {', '.join(rows)}." for seeds, rows in missing.items()]
    return lines


def _unequal_tuning(table: Table) -> list[str]:
    """Rows whose options were searched for longer, or elsewhere, than those of others are not to be compared."""
    searches = _searches(table)
    if len(searches) < 2:
        return []
    groups = [f"{search or 'not tuned'} ({', '.join(rows)})" for search, rows in searches.items()]
    return [f"Tuned unequally, not to be compared: {'; '.join(groups)}."]


def _searches(table: Table) -> dict[str, list[str]]:
    """How options were tuned, in words, and the rows that it holds for; empty words where they were not."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in table.rows:
        for words in dict.fromkeys(_search(run) for run in row.runs):
            found[words].append(row_label(row, table))
    return dict(found)


def _search(run: RunRecord) -> str:
    search = run.config.get("search") or {}
    if not search.get("trials"):
        return ""
    ranges = {name: f"{values['low']:g} to {values['high']:g}" for name, values in sorted(search["space"].items())}
    options = " and ".join(f"{name} ({span})" for name, span in ranges.items())
    return f"{options} tuned on the held-out slice: {search['trials']} trials for each method and size"


def _undefined(table: Table) -> list[str]:
    lines = []
    for column in table.columns:
        for row in table.rows:
            seeds = [seed for seed, value in row.spread(column).values.items() if value is None]
            if seeds:
                lines.append(f"{_figure(column)} is undefined for {_seeds(seeds)} of {row_label(row, table)}.")
    return lines


def _figure(column: Column) -> str:
    return f"{column.data.label} {column.metric} on {column.split}"


def _reason(run: RunRecord) -> str:
    if run.error is None:
        return "no reason recorded"
    # The whole message is in the run's log; a traceback of a library's would drown the table.
    return shorten(run.error.message, width=200)
