"""Notes below a table: the sources of its figures, what is missing, and the letters that refer to notes.

Light to import: the standard library only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from textwrap import shorten
from typing import Any

from embfact.results.chance import seeds_at_chance
from embfact.results.comparable import describe_search
from embfact.results.result_table import Column, DataVersion, ResultTable, Row, row_label
from embfact.results.table.grid import Place
from embfact.runs.record import RunRecord

_ALPHABET = "abcdefghijklmnoprstuvwxyz"  # no q: it has no superscript


@dataclass(frozen=True)
class Remark:
    """A warning to the reader.

    Attributes:
        cells: The figures concerned, as index in `ResultTable.rows` and column; may be empty.
    """

    text: str
    cells: frozenset[tuple[int, Column]] = frozenset()


def sources(table: ResultTable) -> list[str]:
    """For each data set the splits, rows and seeds behind its figures; what was tuned and distilled, and caveats."""
    searches = _searches(table)
    found = [search for search in searches if search] if len(searches) == 1 else []
    runs = [run for row in table.rows for run in row.runs]
    own = dict.fromkeys(describe_search(run.config.get("search") or {}, own=True) for run in runs)
    caveats = dict.fromkeys(f"{run.method.name}: {run.method.caveat}" for run in runs if run.method.caveat)
    return [
        *(_source(table, data) for data in table.data),
        *(f"{text}." for text in [*found, *own, *_distilled(table), *caveats] if text),
    ]


def warnings(table: ResultTable) -> list[str]:
    """The texts of `remarks`."""
    return [remark.text for remark in remarks(table)]


def remarks(table: ResultTable, *, reasons: bool = True) -> list[Remark]:
    """What is missing or not comparable, with the figures concerned.

    Missing seeds, runs at chance, different tuning, methods without a dense run of their conditions, undefined metrics,
    failed runs with their `reasons`, and unreadable records.
    """
    return [
        *_missing_seeds(table),
        *at_chance(table),
        *_different_tuning(table),
        *_without_dense(table),
        *_undefined(table),
        *(_failed(table) if reasons else []),
        *_unread(table),
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
    held_out = f", {_rows(rows, 'selection')} of train held out for selection" if rows.get("selection") else ""
    apart = f" Differs from other versions of the data: {data.difference}." if data.difference else ""
    note = f" {data.example.data.note}" if data.example.data.note else ""
    trained = f"trained on {drawn}{_rows(rows, 'train')}{held_out}{_how_drawn(options)}"
    return f"{data.label}: {figures}; {trained}; {_seeds(seeds)}.{apart}{note}"


def _distilled(table: ResultTable) -> Iterator[str]:
    """Which rows learned from which dense runs."""
    found: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in table.rows:
        if teachers := tuple(sorted({run.teacher for run in row.finished() if run.teacher})):
            found[teachers].append(row)
    methods = [row for row in table.rows if not row.dense and row.finished()]
    for teachers, rows in found.items():
        which = "all but dense" if rows == methods else ", ".join(row_label(row, table) for row in rows)
        yield f"Distilled from {', '.join(teachers)}: {which}"


def _how_drawn(options: Mapping[str, Any]) -> str:
    """Whether every seed saw the same rows: then intervals are about one draw of them."""
    if not (options.get("train_size") or options.get("selection_size")):
        return ""
    seed = options.get("split_seed")
    return ", drawn anew for each seed" if seed == "seed" else f", one draw for all seeds (data.split_seed={seed})"


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


def at_chance(table: ResultTable) -> Iterator[Remark]:
    """The runs that did not learn; figures of which this is true alike share a remark."""
    alike: dict[tuple[tuple[int, tuple[int, ...]], ...], list[Column]] = defaultdict(list)
    for column in table.columns:
        found = ((index, tuple(seeds_at_chance(row, column))) for index, row in enumerate(table.rows))
        if runs := tuple((index, seeds) for index, seeds in found if seeds):
            alike[runs].append(column)
    for runs, columns in alike.items():
        named = [f"{row_label(table.rows[index], table)} ({_seeds(seeds)})" for index, seeds in runs]
        figures = [f"{column.data.label} {column.metric} on {column.split}" for column in columns]
        verb = "is" if len(figures) == 1 else "are"
        what = f"{' and '.join(figures)} {verb} not clearly above the majority class"
        text = f"{what}, as if nothing was learned: {', '.join(named)}."
        yield Remark(text, frozenset((index, column) for index, _ in runs for column in columns))


def _failed(table: ResultTable) -> Iterator[Remark]:
    for index, row in enumerate(table.rows):
        for run in row.runs:
            if run.status != "finished":
                versions = [data for data in table.data if any(run is other for other in row.failed(data))]
                cells = frozenset((index, column) for data in versions for column in _columns(table, data))
                yield Remark(f"{run.status.capitalize()}: {run.name}: {_reason(run)}", cells)


def _unread(table: ResultTable) -> Iterator[Remark]:
    """Unreadable records, with the figures of runs whose folder names equal theirs except for the seed."""
    for problem in table.problems:
        cells = frozenset(
            (index, column)
            for index, row in enumerate(table.rows)
            for data in table.data
            if any(_siblings(run.name).search(problem) for run in row.finished(data))
            for column in _columns(table, data)
        )
        yield Remark(f"Left out: {problem}", cells)


def _siblings(name: str) -> re.Pattern[str]:
    stem = re.sub(r"-s\d+-[0-9a-f]{8}$", "", name)
    return re.compile(rf"(?<![\w.-]){re.escape(stem)}-s\d+-[0-9a-f]{{8}}(?!\w)")


def _columns(table: ResultTable, data: DataVersion) -> list[Column]:
    return [column for column in table.columns if column.data == data]


def _different_tuning(table: ResultTable) -> Iterator[Remark]:
    searches = _searches(table)
    if len(searches) > 1:
        groups = [f"{search or 'not tuned'} ({', '.join(rows)})" for search, rows in searches.items()]
        yield Remark(f"Tuned differently, so not comparable: {'; '.join(groups)}.")


def _searches(table: ResultTable) -> dict[str, list[str]]:
    """Description of the tuning (empty without any) -> rows."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in table.rows:
        found[row.search].append(row_label(row, table))
    return dict(found)


def _without_dense(table: ResultTable) -> Iterator[Remark]:
    """Methods tuned like dense runs none of which has their conditions; different tuning is a remark of its own."""
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
            problem = f"no dense run has the options of {labels}; train one (factorization=none) to compare with"
            yield Remark(f"{data.label}: {problem}.", cells)


def _undefined(table: ResultTable) -> Iterator[Remark]:
    for column in table.columns:
        for index, row in enumerate(table.rows):
            seeds = [seed for seed, value in row.spread(column).values.items() if value is None]
            if seeds:
                figure = f"{column.data.label} {column.metric} on {column.split}"
                text = f"{figure} is undefined for {_seeds(seeds)} of {row_label(row, table)}."
                yield Remark(text, frozenset({(index, column)}))


def _reason(run: RunRecord) -> str:
    if run.error is None:
        return "no reason recorded"
    # The full message is in the run's log; a library traceback would swamp the table.
    return shorten(run.error.message, width=200)


@dataclass(frozen=True)
class Letters:
    """The letters that refer to notes.

    Attributes:
        remarks: Letter and remark; the letter is empty if the remark is not about a shown cell.
        data: Letters of data sets that have several versions.
    """

    remarks: tuple[tuple[str, Remark], ...]
    data: Mapping[DataVersion, str]

    @classmethod
    def of(cls, table: ResultTable, shown: Collection[tuple[int, Column]], *, reasons: bool = True) -> Letters:
        """The letters of a table with some cells shown; remarks about other cells, and reasons, may be omitted."""
        letters = _letters()
        versions = {column.data for _, column in shown}
        data = {version: next(letters) for version in table.data if version.difference and version in versions}
        by_cells: dict[frozenset[tuple[int, Column]], str] = {}
        kept = []
        for remark in remarks(table, reasons=reasons):
            about = remark.cells & frozenset(shown)
            if about:
                by_cells.setdefault(about, next(letters) if about not in by_cells else "")
            if about or not remark.cells:
                kept.append((by_cells.get(about, ""), replace(remark, cells=about)))
        return cls(tuple(kept), data)

    def of_cell(self, cell: tuple[int, Column]) -> str:
        """The letters of a cell, separated by commas."""
        return ",".join(dict.fromkeys(letter for letter, remark in self.remarks if cell in remark.cells))

    def of_place(self, place: Place) -> str:
        """The letter of a line or heading that belongs to one version of a data set."""
        versions = {column.data for column in place.columns}
        return self.data.get(versions.pop(), "") if len(versions) == 1 else ""


def _letters() -> Iterator[str]:
    length = 1
    while True:
        for letter in _ALPHABET:
            yield letter * length
        length += 1
