"""Runs grouped into a table: a row for each (model, method, storage, size), a column a figure, spread over seeds.

Light to import: the standard library only. What must not be averaged is kept apart: other data or other rows of it
become columns of their own, other options become rows of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeVar, get_args

from embfact.embeddings.layout import FLOAT32, Storage, StorageFormat
from embfact.results.collect import Collected
from embfact.results.versions import DataVersion, rows_of, source_of, versions_of
from embfact.results.wording import Wording
from embfact.runs.record import RunRecord

Key = TypeVar("Key", bound=Hashable)
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
    """One metric over seeds.

    Attributes:
        values: Seed -> value; None where the metric is undefined.
    """

    values: Mapping[int, float | None]

    @property
    def defined(self) -> list[float]:
        """The values that are defined."""
        return [value for value in self.values.values() if value is not None]

    @property
    def mean(self) -> float | None:
        """Mean of the defined values; None without any."""
        return fmean(self.defined) if self.defined else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation of the defined values; None for fewer than two."""
        return stdev(self.defined) if len(self.defined) > 1 else None


@dataclass(frozen=True)
class Row:
    """The runs of one model, method, storage, asked size and setting, on all data.

    Attributes:
        storage: How the embedding is kept: empty for float32, ``int8-g64`` (in groups of 64), ``int8-row``, ``int8``
            (from before there were groups), ``int8-g64 QAT`` (quantization-aware training).
        asked: The size that was asked for: ``r64``, ``b0.1`` or ``p0.1`` (budget of bytes or parameters), ``e0.9``
            (energy); None for a method without one.
        conditions: In words, the options in which runs of this table differ and which dense runs have too, the same for
            rows that may be compared; see `embfact.results.comparable`. Empty if they do not differ.
        options: In words, all options in which runs of this table differ, those of the method alone too.
        runs: Finished and failed runs.
        found: In words, what a search chose for this method and size, where it did not choose the same for all.
        search: In words, how it searched; empty if nothing was tuned. It is the same for rows that may be compared.
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
        """In words, all in which it differs from other rows of its model, method and size."""
        return ", ".join(filter(None, (self.options, self.found)))

    def comparable(self, other: Row) -> bool:
        """Whether nothing but method and size sets its figures apart from those of another row on the same data."""
        return (self.model, self.conditions, self.search) == (other.model, other.conditions, other.search)

    @property
    def label(self) -> str:
        """The method as a table calls it: ``svd``, ``svd int8-g64``."""
        return f"{self.method} {self.storage}".rstrip()

    @property
    def dense(self) -> bool:
        """Whether it is the baseline: no factorization, and not stored smaller."""
        return self.label == DENSE

    @property
    def target(self) -> str:
        """A budget or an energy in words, ``budget 0.1``; empty where a rank was asked for, or nothing."""
        kind, share = (self.asked or "")[:1], (self.asked or "")[1:]
        words = {"b": f"budget {share}", "p": f"budget {share} (params)", "e": f"energy {share}"}
        return words.get(kind, "")

    @property
    def size_name(self) -> str:
        """What its ranks count: ``rank``, ``kept rows``."""
        return self.runs[0].method.size_name

    @cached_property
    def ranks(self) -> tuple[int, ...]:
        """The ranks that came out; several where data sets or seeds need different ones for one energy."""
        return tuple(sorted({run.method.rank for run in self.runs if run.method.rank is not None}))

    def finished(self, data: DataVersion | None = None) -> list[RunRecord]:
        """The finished runs, on this data or on any."""
        groups = self._finished
        return groups.get(data.key, []) if data else [run for runs in groups.values() for run in runs]

    def failed(self, data: DataVersion) -> list[RunRecord]:
        """The failed runs on this data; those that failed before they counted its rows included."""
        return self._failed.get(source_of(data.example), [])

    def spread(self, column: Column) -> Spread:
        """The metric of a column over the seeds of this row."""
        figures = {run.seed: run.metrics.get(column.split, {}) for run in self.finished(column.data)}
        return Spread({seed: found[column.metric] for seed, found in sorted(figures.items()) if column.metric in found})

    @cached_property
    def _finished(self) -> dict[str, list[RunRecord]]:
        return _grouped(rows_of, (run for run in self.runs if run.status == "finished"))

    @cached_property
    def _failed(self) -> dict[str, list[RunRecord]]:
        return _grouped(source_of, (run for run in self.runs if run.status != "finished"))


@dataclass(frozen=True)
class ResultTable:
    """Rows by columns.

    Attributes:
        rows: Dense first, then methods by name, storages by size and ranks ascending, model by model.
        data: The data sets, in the order of their names.
        problems: In words: records that could not be used.
        places: Hash -> run directory, of the runs that are on this machine.
    """

    rows: tuple[Row, ...]
    data: tuple[DataVersion, ...]
    problems: tuple[str, ...] = ()
    places: Mapping[str, Path] = field(default_factory=dict)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Every metric of every reported split, data set by data set."""
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

    def dense_of(self, row: Row, column: Column) -> Row | None:
        """The dense row that a row is compared with on a figure; None if there is no single one of its conditions."""
        found = [other for other in self.rows if other.dense and other.comparable(row) and other.spread(column).values]
        return found[0] if len(found) == 1 else None

    def seeds(self, data: DataVersion, model: str) -> set[int]:
        """Every seed that was tried for a model on this data, whatever came of it."""
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
    """Group records into a table.

    Args:
        collected: What `find_records` found, or records at hand.
    """
    records = collected.records
    wording = Wording(records)
    groups = _grouped(
        lambda run: (
            (run.model.name, run.method.name, describe_storage(_storage(run), run.method.quantization), _asked(run)),
            (wording.conditions(run), wording.options(run)),
        ),
        records,
    )
    rows = []
    for (which, words), runs in groups.items():
        answers = wording.answers(runs)
        for alike in answers:
            row = Row(*which, *words, tuple(alike), wording.found(alike), wording.search(alike[0]))
            # Several answers tell the rows of one method and size apart, as options do.
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
    ranks = row.ranks[:1] or (share,)  # a budget that only failed has come out at no rank
    return row.model, row.method != DENSE, row.method, storage_order(row.storage), ranks, share, row.setting


def storage_order(storage: str) -> tuple[int, int, str]:
    """Decides the order of what `Row.storage` says: by format, and within it larger groups first."""
    kept, _, aware = storage.partition(" ")
    name, _, group = kept.partition("-")
    return get_args(StorageFormat).index(name or FLOAT32.format), _GROUPS.index(group), aware


def describe_storage(storage: Storage, quantization: str | None) -> str:
    """How the embedding is kept, as a row says it."""
    if storage == FLOAT32:
        return ""
    return f"{storage} QAT" if quantization == "aware" else str(storage)


def _storage(run: RunRecord) -> Storage:
    return Storage(run.method.storage, run.method.storage_group)


def _asked(run: RunRecord) -> str | None:
    """The size as it was asked for, without the storage that a record has behind it."""
    asked = (run.method.size or "").removesuffix(str(_storage(run))).rstrip("-")
    return asked or (None if run.method.rank is None else f"r{run.method.rank}")


def _grouped(key_of: Callable[[RunRecord], Key], runs: Iterable[RunRecord]) -> dict[Key, list[RunRecord]]:
    groups: dict[Key, list[RunRecord]] = defaultdict(list)
    for run in runs:
        groups[key_of(run)].append(run)
    return dict(groups)
