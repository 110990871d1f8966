"""The statistics of a whole table: every row against its reference row, every figure with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from embfact.results.chance import learned_nothing
from embfact.results.result_table import DENSE, Column, DataVersion, ResultTable, Row, row_label
from embfact.results.statistics.compare import (
    Comparison,
    check_pair,
    compare_replicates,
    interval_of_replicates,
)
from embfact.results.statistics.correction import holm
from embfact.results.statistics.outcomes import Outcomes, StatisticsError, outcomes
from embfact.results.statistics.resampling import Replicates, components_of, replicates

BASELINES = {"majority": "the majority class", "bag_of_tokens": "a bag of tokens"}

Cell = tuple[int, Column]


@dataclass(frozen=True)
class TableStatistics:
    """What may be said of a table. A cell is the index of a row in ``table.rows``, and a column.

    Attributes:
        comparisons: Row minus its reference row.
        adjusted: p-values of the comparisons, corrected for all of them (Holm); None where there was no test,
            or where no seed of the row is above chance.
        intervals: Confidence interval of the mean over seeds; of a row with one seed, over examples alone.
        against: The index of the reference row of each comparison.
        informative: Whether the task is informative, for every dense row.
        problems: In words: what could not be computed or compared, and why.
    """

    comparisons: Mapping[Cell, Comparison] = field(default_factory=dict)
    adjusted: Mapping[Cell, float | None] = field(default_factory=dict)
    intervals: Mapping[Cell, tuple[float, float]] = field(default_factory=dict)
    against: Mapping[Cell, int] = field(default_factory=dict)
    informative: Mapping[Cell, Informative] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def table_statistics(table: ResultTable, against: str = DENSE, *, level: float = 0.95) -> TableStatistics:
    """Compare every row of a table with its reference row, on every column.

    A reference is of the same model, data and conditions; where several options or sizes of it were run, it is the one
    of the row's own options and size. Nothing is raised for a missing or damaged file: what could not be had is told.

    Args:
        table: The table.
        against: Method of the reference as the table calls it, e.g. ``none``, ``svd int8``; ``svd-r64`` for one size.
        level: Confidence of the intervals.
    """
    work = _Work(table, against, level)
    for column in table.columns:
        work.fill(column)
    # A method that learned nothing on any seed is no test of methods, and must not make the others' stricter.
    tested = {
        (place, column): None if learned_nothing(table.rows[place], column) else one.p_value
        for (place, column), one in work.comparisons.items()
    }
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return TableStatistics(work.comparisons, adjusted, work.intervals, work.references, work.informative, work.problems)


class _Work:
    """The statistics of a table while they are made, column by column."""

    def __init__(self, table: ResultTable, against: str, level: float):
        self.table, self.against, self.level = table, against, level
        self.comparisons: dict[Cell, Comparison] = {}
        self.intervals: dict[Cell, tuple[float, float]] = {}
        self.references: dict[Cell, int] = {}
        self.informative: dict[Cell, Informative] = {}
        self._marked = {place: row for place, row in enumerate(table.rows) if _is_reference(row, against)}
        self._told: dict[tuple[str, str], dict[str, None]] = {}  # where and what -> rows
        self._loaded: dict[tuple[int, DataVersion, str], Outcomes | None] = {}

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be had, each cause once with all rows that it hit."""
        return tuple(f"{', '.join(rows)} on {where}: {words}" for (where, words), rows in self._told.items())

    def fill(self, column: Column) -> None:
        """Everything of one column."""
        found = self._replicates(column)
        for place, row in found.items():
            try:
                self._describe(place, column, row)
                self._compare(place, column, found)
            except StatisticsError as error:
                self._tell(place, column, str(error))

    def _describe(self, place: int, column: Column, found: Replicates) -> None:
        self.intervals[place, column] = interval_of_replicates(found, self.level)
        row = self.table.rows[place]
        if row.dense:
            known = _baselines(row, column)
            self.informative[place, column] = informative_of_replicates(found, known, self.level)

    def _compare(self, place: int, column: Column, found: Mapping[int, Replicates]) -> None:
        if place in self._marked:
            return
        candidates = {index: row for index, row in self._marked.items() if row.spread(column).values}
        reference = _reference(self.table.rows[place], candidates, self.against)
        if reference not in found:
            label = row_label(self.table.rows[reference], self.table)
            raise StatisticsError(f"the predictions of its reference row {label} cannot be used")
        check_pair(found[place].outcomes, found[reference].outcomes)
        comparison = compare_replicates(found[place], found[reference], self.level)
        self.comparisons[place, column], self.references[place, column] = comparison, reference
        if comparison.p_value is None:
            self._tell(place, column, comparison.note)

    def _replicates(self, column: Column) -> dict[int, Replicates]:
        """Row by row; rows of the same examples are resampled together."""
        groups: list[dict[int, Outcomes]] = []
        for place in range(len(self.table.rows)):
            loaded = self._load(place, column)
            if loaded is None:
                continue
            fitting = (group for group in groups if loaded.same_examples(next(iter(group.values()))))
            group = next(fitting, None)
            if group is None:
                groups.append(group := {})
            group[place] = loaded
        found: dict[int, Replicates] = {}
        for group in groups:
            found |= dict(zip(group, replicates(list(group.values()), column.metric), strict=True))
        return found

    def _load(self, place: int, column: Column) -> Outcomes | None:
        """The outcomes of a row; None if it has none of this column, or they cannot be read, which is told."""
        row = self.table.rows[place]
        if not row.spread(column).values:
            return None
        key = place, column.data, column.split  # the metrics of a split are of the same predictions
        if key not in self._loaded:
            try:
                self._loaded[key] = outcomes(row, column, self.table.places)
            except StatisticsError as error:
                self._loaded[key] = None
                self._tell(place, column, str(error))
        return self._loaded[key]

    def _tell(self, place: int, column: Column, words: str) -> None:
        rows = self._told.setdefault((f"{column.data.label} {column.split}", words), {})
        rows[row_label(self.table.rows[place], self.table)] = None


def _is_reference(row: Row, against: str) -> bool:
    return against in (row.label, f"{row.label}-{row.asked}")


def _reference(row: Row, candidates: Mapping[int, Row], against: str) -> int:
    """The index of the reference of a row.

    Raises:
        StatisticsError: If there is none, or no single one that fits.
    """
    of_model = {index: other for index, other in candidates.items() if other.model == row.model}
    if not of_model:
        raise StatisticsError(f"no finished reference row {against!r} of {row.model}; train one")
    fitting = {index: other for index, other in of_model.items() if other.comparable(row)}
    if not fitting:
        told = f" ({row.conditions})" if row.conditions else ""
        raise StatisticsError(f"no finished reference row {against!r} has its conditions{told}; train one that has")
    # Of several sizes and options of a method, those of the row.
    for alike in (lambda other: other.options == row.options, lambda other: other.asked == row.asked):
        fitting = {index: other for index, other in fitting.items() if alike(other)} or fitting
    if len(fitting) != 1:
        raise StatisticsError(f"several reference rows {against!r}, and not one with its options and size; train it")
    return next(iter(fitting))


def _baselines(row: Row, column: Column) -> Mapping[str, Mapping[str, float | None]]:
    """The baselines that the records of a row hold of a column's split."""
    held: Iterable[Mapping[str, Mapping[str, Mapping[str, float | None]]]] = (
        run.baselines for run in row.finished(column.data)
    )
    return next((kept[column.split] for kept in held if column.split in kept), {})


@dataclass(frozen=True)
class Informative:
    """Whether the dense model clearly beats the baselines.

    Attributes:
        verdict: True if it beats both; False if it does not beat one of them; None if that is not known.
        bound: What the dense model is above, with the confidence asked for (one-sided), over seeds and examples.
        note: In words.
    """

    verdict: bool | None
    bound: float
    note: str


def informative(
    dense: Outcomes,
    metric: str,
    baselines: Mapping[str, Mapping[str, float | None]],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Informative:
    """Tell whether the dense model clearly beats the majority class and a bag of tokens.

    Args:
        dense: Runs of the dense model.
        metric: Name of the metric.
        baselines: ``majority`` and ``bag_of_tokens`` -> metric -> value on the same split, as records hold them; any
            may be missing. They count as known figures. None is the correlation of a constant: none, so 0.
        level: Confidence.
        resamples: Resamples of the examples.
        seed: Of the random numbers.

    Raises:
        StatisticsError: If the metric is undefined for a run.
    """
    (found,) = replicates([dense], metric, resamples=resamples, seed=seed)
    return informative_of_replicates(found, baselines, level)


def informative_of_replicates(
    found: Replicates, baselines: Mapping[str, Mapping[str, float | None]], level: float
) -> Informative:
    """See `informative`."""
    bound = found.mean - components_of(found).half_width(1 - level)
    metric = found.metric
    known = {name: baselines[name][metric] or 0.0 for name in BASELINES if metric in baselines.get(name, {})}
    beaten = {name: bound > value for name, value in known.items()}
    words = [
        f"{'above' if beaten[name] else 'not clearly above'} {BASELINES[name]} ({value * 100:.1f})"
        for name, value in known.items()
    ]
    words += [f"{BASELINES[name]} not known" for name in BASELINES if name not in known]
    verdict = False if not all(beaten.values()) else True if len(known) == len(BASELINES) else None
    kind = {True: "informative", False: "uninformative", None: "not known whether informative"}[verdict]
    confidence = f"with {level * 100:g} % confidence dense is above {bound * 100:.1f}"
    alone = "" if len(found.outcomes.seeds) > 1 else " (over examples alone: one seed)"
    return Informative(verdict, bound, f"{kind}: {confidence}{alone}: {', '.join(words)}")
