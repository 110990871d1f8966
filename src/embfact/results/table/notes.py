"""What stands under a table: where its figures are from, and what is missing from it.

Light to import: the standard library only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from textwrap import shorten

from embfact.results.chance import seeds_at_chance
from embfact.results.comparable import tuned
from embfact.results.result_table import Column, DataVersion, ResultTable, row_label
from embfact.runs.record import RunRecord


@dataclass(frozen=True)
class Remark:
    """Something that a reader must not overlook, and the figures that it is about.

    Attributes:
        cells: Index of the row in `Table.rows` and the column; empty where it is about no figure of the table.
    """

    text: str
    cells: frozenset[tuple[int, Column]] = frozenset()


def sources(table: ResultTable) -> list[str]:
    """For each data set: the splits and rows that its figures are from, the seeds; and which options were tuned."""
    searches = _searches(table)
    found = [search for search in searches if search] if len(searches) == 1 else []
    own = dict.fromkeys(tuned(run.config.get("search") or {}, own=True) for row in table.rows for run in row.runs)
    return [*(_source(table, data) for data in table.data), *(f"{words}." for words in [*found, *own] if words)]


def warnings(table: ResultTable) -> list[str]:
    """What a reader must not overlook, in words: see `remarks`."""
    return [remark.text for remark in remarks(table)]


def remarks(table: ResultTable) -> list[Remark]:
    """What is missing and what may not be compared, and the figures each is about.

    Missing seeds, runs at chance, unequal tuning, methods without a dense run of their conditions, undefined metrics,
    failed runs, lost records.
    """
    return [
        *_missing_seeds(table),
        *_at_chance(table),
        *(Remark(line) for line in _unequal_tuning(table)),
        *_without_dense(table),
        *_undefined(table),
        *_failed(table),
        *(Remark(f"Left out: {problem}", _lost(problem, table)) for problem in table.problems),
    ]


def _source(table: ResultTable, data: DataVersion) -> str:
    rows, options = data.example.data.rows, data.example.config.get("data") or {}
    drawn, scored = ("a sample of " if options.get(name) else "" for name in ("train_size", "eval_size"))
    metrics: dict[str, list[str]] = defaultdict(list)
    for column in table.columns:
        if column.data == data:
            metrics[column.split].append(column.metric)
    figures = ", ".join(
        f"{' and '.join(names)} on {split} ({scored}{_rows(rows, split)})" for split, names in metrics.items()
    )
    seeds = set().union(*(table.seeds(data, model) for model in {row.model for row in table.rows}))
    held_out = f", {_rows(rows, 'selection')} of train held out to select on" if rows.get("selection") else ""
    apart = f" Kept apart from its namesakes: {data.difference}." if data.difference else ""
    note = f" {data.example.data.note}" if data.example.data.note else ""
    return f"{data.label}: {figures}; trained on {drawn}{_rows(rows, 'train')}{held_out}; {_seeds(seeds)}.{apart}{note}"


def _rows(rows: dict[str, int], split: str) -> str:
    return f"{rows[split]:,} rows" if split in rows else "an unknown number of rows"


def _seeds(seeds: Iterable[int]) -> str:
    seeds = sorted(seeds)
    return ("seed " if len(seeds) == 1 else "seeds ") + ", ".join(map(str, seeds))


def _missing_seeds(table: ResultTable) -> Iterator[Remark]:
    for data in table.data:
        missing: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, row in enumerate(table.rows):
            absent = table.missing_seeds(row, data)
            if absent and (row.finished(data) or row.failed(data)):
                missing[tuple(sorted(absent))].append(index)
        for seeds, rows in missing.items():
            labels = ", ".join(row_label(table.rows[index], table) for index in rows)
            cells = frozenset((index, column) for index in rows for column in _columns(table, data))
            yield Remark(f"{data.label}: {_seeds(seeds)} missing for {labels}.", cells)


def _at_chance(table: ResultTable) -> Iterator[Remark]:
    for column in table.columns:
        found = {index: seeds for index, row in enumerate(table.rows) if (seeds := seeds_at_chance(row, column))}
        if found:
            named = [f"{row_label(table.rows[index], table)} ({_seeds(seeds)})" for index, seeds in found.items()]
            words = f"not clearly above the majority class, as if nothing was learned: {', '.join(named)}"
            yield Remark(f"{_figure(column)} is {words}.", frozenset((index, column) for index in found))


def _failed(table: ResultTable) -> Iterator[Remark]:
    for index, row in enumerate(table.rows):
        for run in row.runs:
            if run.status != "finished":
                versions = [data for data in table.data if any(run is other for other in row.failed(data))]
                cells = frozenset((index, column) for data in versions for column in _columns(table, data))
                yield Remark(f"{run.status.capitalize()}: {run.name}: {_reason(run)}", cells)


def _lost(problem: str, table: ResultTable) -> frozenset[tuple[int, Column]]:
    """The figures that a record which cannot be read belongs to: its folder has the name of theirs but for the seed."""
    return frozenset(
        (index, column)
        for index, row in enumerate(table.rows)
        for data in table.data
        if any(_siblings(run.name).search(problem) for run in row.finished(data))
        for column in _columns(table, data)
    )


def _siblings(name: str) -> re.Pattern[str]:
    stem = re.sub(r"-s\d+-[0-9a-f]{8}$", "", name)
    return re.compile(rf"(?<![\w.-]){re.escape(stem)}-s\d+-[0-9a-f]{{8}}(?!\w)")


def _columns(table: ResultTable, data: DataVersion) -> list[Column]:
    return [column for column in table.columns if column.data == data]


def _unequal_tuning(table: ResultTable) -> list[str]:
    """Rows whose options were searched for longer, or elsewhere, than those of others are not to be compared."""
    searches = _searches(table)
    if len(searches) < 2:
        return []
    groups = [f"{search or 'not tuned'} ({', '.join(rows)})" for search, rows in searches.items()]
    return [f"Tuned unequally, not to be compared: {'; '.join(groups)}."]


def _searches(table: ResultTable) -> dict[str, list[str]]:
    """How options were tuned, in words, and the rows that it holds for; empty words where they were not."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in table.rows:
        found[row.search].append(row_label(row, table))
    return dict(found)


def _without_dense(table: ResultTable) -> Iterator[Remark]:
    """Methods beside dense runs none of which has their conditions; where the tuning differs, that is told already."""
    for data in table.data:
        columns = _columns(table, data)
        dense = [row for row in table.rows if row.dense and row.finished(data)]
        alone = [
            index
            for index, row in enumerate(table.rows)
            if row.finished(data)
            and any((other.model, other.search) == (row.model, row.search) for other in dense)
            and not any(other.comparable(row) for other in dense)
        ]
        if alone:
            labels = ", ".join(row_label(table.rows[index], table) for index in alone)
            cells = frozenset((index, column) for index in alone for column in columns)
            words = f"no dense run has the options of {labels}; train one (factorization=none) to compare with"
            yield Remark(f"{data.label}: {words}.", cells)


def _undefined(table: ResultTable) -> Iterator[Remark]:
    for column in table.columns:
        for index, row in enumerate(table.rows):
            seeds = [seed for seed, value in row.spread(column).values.items() if value is None]
            if seeds:
                words = f"{_figure(column)} is undefined for {_seeds(seeds)} of {row_label(row, table)}."
                yield Remark(words, frozenset({(index, column)}))


def _figure(column: Column) -> str:
    return f"{column.data.label} {column.metric} on {column.split}"


def _reason(run: RunRecord) -> str:
    if run.error is None:
        return "no reason recorded"
    # The whole message is in the run's log; a traceback of a library's would drown the table.
    return shorten(run.error.message, width=200)
