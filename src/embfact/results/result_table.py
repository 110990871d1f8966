"""Runs grouped into a table: a row per (model, method, storage, size), a column per figure, aggregated over seeds.

Light to import: the standard library only. What must not be averaged is kept apart: runs on other data or other rows
get their own columns, runs with other options their own rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, get_args

from embfact.embeddings.layout import FLOAT32, Storage, StorageFormat
from embfact.results.collect import Collected
from embfact.results.options import VaryingOptions, grouped
from embfact.results.versions import DataVersion, rows_of, source_of, versions_of
from embfact.runs.record import RunRecord

DENSE = "none"
_GROUPS = ("", "row", "g128", "g64", "g32")


@dataclass(frozen=True)
class Column:
    """One figure: a metric on a split of a data set."""

    data: DataVersion
    split: str
    metric: str


@dataclass(frozen=True)
class Spread:
    """One metric over seeds: seed -> value, None where the metric is undefined."""

    values: Mapping[int, float | None]

    @property
    def defined(self) -> list[float]:
        """The defined values."""
        return [value for value in self.values.values() if value is not None]

    @property
    def mean(self) -> float | None:
        """Mean of the defined values; None if there are none."""
        return fmean(self.defined) if self.defined else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation of the defined values; None for fewer than two."""
        return stdev(self.defined) if len(self.defined) > 1 else None


@dataclass(frozen=True)
class Row:
    """The runs of one model, method, storage, requested size and setting, on all data.

    Attributes:
        storage: Storage of the embedding: empty for float32, ``int8-g64`` (in groups of 64), ``int8-row``, ``int8``
            (from before there were groups), ``int8-g64 QAT`` (quantization-aware training).
        asked: The requested size: ``r64``, ``b0.1`` or ``p0.1`` (budget of bytes or parameters), ``e0.9`` (energy);
            None for a method without a size.
        conditions: Description of the varying options that dense runs have too, equal for comparable rows; see
            `embfact.results.comparable`.
        options: Description of all varying options, including those of the method only.
        runs: Finished and failed runs.
        found: Description of what a search chose for this method and size, if it did not choose the same for all.
        search: Description of the search, equal for comparable rows; empty if nothing was tuned.
    """

    model: str
    method: str
    storage: str
    asked: str | None
    conditions: str
    options: str
    runs: tuple[RunRecord, ...]
    found: str = ""
    search: str = ""

    @property
    def setting(self) -> str:
        """Description of everything in which it differs from other rows of its model, method and size."""
        return ", ".join(filter(None, (self.options, self.found)))

    def comparable(self, other: Row) -> bool:
        """Whether the figures of two rows on the same data differ only by method and size."""
        return (self.model, self.conditions, self.search) == (other.model, other.conditions, other.search)

    @property
    def label(self) -> str:
        """The method as shown in tables: ``svd``, ``svd int8-g64``."""
        return f"{self.method} {self.storage}".rstrip()

    @property
    def dense(self) -> bool:
        """Whether it is the baseline: no factorization and no reduced storage."""
        return self.label == DENSE

    @property
    def target(self) -> str:
        """The requested budget or energy, ``budget 0.1``; empty if a rank or nothing was requested."""
        kind, share = (self.asked or "")[:1], (self.asked or "")[1:]
        return {"b": f"budget {share}", "p": f"budget {share} (params)", "e": f"energy {share}"}.get(kind, "")

    @property
    def size_name(self) -> str:
        """What its ranks count: ``rank``, ``kept rows``."""
        return self.runs[0].method.size_name

    @cached_property
    def ranks(self) -> tuple[int, ...]:
        """The resulting ranks; several if data sets or seeds need different ones for the same energy."""
        return tuple(sorted({run.method.rank for run in self.runs if run.method.rank is not None}))

    def finished(self, data: DataVersion | None = None) -> list[RunRecord]:
        """The finished runs on this data, or on all data."""
        groups = self._finished
        return groups.get(data.key, []) if data else [run for runs in groups.values() for run in runs]

    def failed(self, data: DataVersion) -> list[RunRecord]:
        """The failed runs on this data, including those that failed before its rows were counted."""
        return self._failed.get(source_of(data.example), [])

    def spread(self, column: Column) -> Spread:
        """The metric of a column over the seeds of the row."""
        figures = {run.seed: run.metrics.get(column.split, {}) for run in self.finished(column.data)}
        return Spread({seed: found[column.metric] for seed, found in sorted(figures.items()) if column.metric in found})

    @cached_property
    def _finished(self) -> dict[str, list[RunRecord]]:
        return grouped((run for run in self.runs if run.status == "finished"), rows_of)

    @cached_property
    def _failed(self) -> dict[str, list[RunRecord]]:
        return grouped((run for run in self.runs if run.status != "finished"), source_of)


@dataclass(frozen=True)
class ResultTable:
    """Rows by columns.

    Attributes:
        rows: By model; dense first, then by method name, storage size and rank.
        data: The data sets, sorted by name.
        problems: Records that could not be used, and why.
        places: Hash -> run directory, for runs on this machine.
    """

    rows: tuple[Row, ...]
    data: tuple[DataVersion, ...]
    problems: tuple[str, ...] = ()
    places: Mapping[str, Path] = field(default_factory=dict)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Every metric of every reported split, by data set."""
        return tuple(
            dict.fromkeys(
                Column(data, split, metric)
                for data in self.data
                for row in self.rows
                for run in row.finished(data)
                for split, figures in run.metrics.items()
                for metric in figures
            )
        )

    def seeds(self, data: DataVersion, model: str) -> set[int]:
        """Every seed that was tried for a model on this data, whatever the outcome."""
        return _tried((row for row in self.rows if row.model == model), data)

    def missing_seeds(self, row: Row, data: DataVersion) -> set[int]:
        """Seeds that were tried for the methods a row is compared with, and that it did not finish.

        A seed that only dense has is no gap where several methods do without it; it makes every comparison surer.
        """
        rows = [other for other in self.rows if other.comparable(row)]
        tried = _tried(methods_or_all(rows, data), data) | {run.seed for run in row.failed(data)}
        return tried - {run.seed for run in row.finished(data)}


def methods_or_all(rows: Iterable[Row], data: DataVersion) -> Sequence[Row]:
    """The rows that say how many seeds are usual: the methods, if there are several; dense may have more."""
    rows = list(rows)
    methods = [row for row in rows if not row.dense and row.finished(data)]
    return methods if len(methods) > 1 else rows


def _tried(rows: Iterable[Row], data: DataVersion) -> set[int]:
    return {run.seed for row in rows for run in [*row.finished(data), *row.failed(data)]}


def build_table(collected: Collected) -> ResultTable:
    """Group records into a table."""
    records = collected.records
    varying = VaryingOptions(records)
    groups = grouped(
        records,
        lambda run: (
            (run.model.name, run.method.name, describe_storage(_storage(run), run.method.quantization), _asked(run)),
            (varying.conditions(run), varying.options(run)),
        ),
    )
    rows = []
    for (which, words), runs in groups.items():
        answers = varying.answers(runs)
        for alike in answers:
            row = Row(*which, *words, tuple(alike), varying.found(alike), varying.search(alike[0]))
            # If a search has several answers, they distinguish the rows like options.
            rows.append(row if len(answers) == 1 else replace(row, options=row.setting, found=""))
    rows.sort(key=_place)
    return ResultTable(tuple(rows), versions_of(records), collected.problems, collected.places)


def row_label(row: Row, table: ResultTable) -> str:
    """A row in running text, e.g. ``svd r=64 (lr=2e-05)``."""
    several = len({other.model for other in table.rows}) > 1
    name = "r" if row.size_name == "rank" else row.size_name
    size = row.target or (f"{name}={row.ranks[0]}" if row.ranks else "")
    words = [row.model if several else "", row.label, size]
    return " ".join([*filter(None, words), *([f"({row.setting})"] if row.setting else [])])


def _place(row: Row) -> tuple[Any, ...]:
    share = float(row.asked[1:]) if row.asked else 0.0
    ranks = row.ranks[:1] or (share,)  # a budget whose runs all failed has no rank
    return row.model, row.method != DENSE, row.method, storage_order(row.storage), ranks, share, row.setting


def storage_order(storage: str) -> tuple[int, int, str]:
    """Sort key of `Row.storage`: by format, then larger groups first."""
    kept, _, aware = storage.partition(" ")
    name, _, group = kept.partition("-")
    return get_args(StorageFormat).index(name or FLOAT32.format), _GROUPS.index(group), aware


def describe_storage(storage: Storage, quantization: str | None) -> str:
    """The storage of an embedding as shown in a row."""
    if storage == FLOAT32:
        return ""
    return f"{storage} QAT" if quantization == "aware" else str(storage)


def _storage(run: RunRecord) -> Storage:
    return Storage(run.method.storage, run.method.storage_group)


def _asked(run: RunRecord) -> str | None:
    """The requested size, without the storage that a record appends."""
    asked = (run.method.size or "").removesuffix(str(_storage(run))).rstrip("-")
    return asked or (None if run.method.rank is None else f"r{run.method.rank}")
