"""The statistics of a whole table: a comparison of every row with its reference row, an interval for every figure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from embfact.results.chance import BASELINES, SHARES, baselines, learned_nothing
from embfact.results.result_table import DENSE, Column, DataVersion, ResultTable, Row, row_label
from embfact.results.statistics.compare import LEVEL, Comparison, compare, interval
from embfact.results.statistics.outcomes import Outcomes, StatisticsError, outcomes
from embfact.results.statistics.resampling import Replicates, components_of, replicates

Cell = tuple[int, Column]


@dataclass(frozen=True)
class TableStatistics:
    """Statistics by cell: the index of a row in ``table.rows``, and a column.

    Attributes:
        comparisons: Row minus its reference row.
        adjusted: p-values of the comparisons after Holm's correction; None where there was no test,
            or where no seed of the row is above chance.
        intervals: Confidence interval of the mean over seeds; of a row with one seed, over examples only.
        against: Index of the reference row of each comparison.
        at_chance: Cells no seed of which is above the majority class: they are no test of methods.
        informative: Whether the task is informative, for every dense row.
        problems: What could not be computed or compared, and why.
    """

    comparisons: Mapping[Cell, Comparison] = field(default_factory=dict)
    adjusted: Mapping[Cell, float | None] = field(default_factory=dict)
    intervals: Mapping[Cell, tuple[float, float]] = field(default_factory=dict)
    against: Mapping[Cell, int] = field(default_factory=dict)
    at_chance: Collection[Cell] = frozenset()
    informative: Mapping[Cell, Informative] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def only(self, cells: Collection[Cell]) -> TableStatistics:
        """The statistics with comparisons of these cells only, which the correction then counts."""
        comparisons = {cell: found for cell, found in self.comparisons.items() if cell in cells}
        return replace(self, comparisons=comparisons, adjusted=_adjusted(comparisons, self.at_chance))


def table_statistics(table: ResultTable, against: str = DENSE) -> TableStatistics:
    """Compare every row of a table with its reference row, on every column.

    A reference has the same model, data and conditions as the row; if several options or sizes of it were run, those of
    the row are taken. Missing or damaged files raise nothing: they are reported in ``problems``.

    Args:
        table: The table.
        against: Label of the reference method in the table, e.g. ``none``, ``svd int8``; ``svd-r64`` for one size.
    """
    work = _Work(table, against)
    for column in table.columns:
        work.fill(column)
    at_chance = {(place, column) for place, column in work.comparisons if learned_nothing(table.rows[place], column)}
    return TableStatistics(
        comparisons=work.comparisons,
        adjusted=_adjusted(work.comparisons, at_chance),
        intervals=work.intervals,
        against=work.references,
        at_chance=at_chance,
        informative=work.informative,
        problems=work.problems,
    )


def _adjusted(comparisons: Mapping[Cell, Comparison], at_chance: Collection[Cell]) -> dict[Cell, float | None]:
    """Holm's p-values. A method that learned nothing on any seed is no test, and must not make the others' stricter."""
    tested = [None if cell in at_chance else found.p_value for cell, found in comparisons.items()]
    return dict(zip(comparisons, holm(tested), strict=True))


class _Work:
    """The statistics of a table under construction, column by column."""

    def __init__(self, table: ResultTable, against: str):
        self.table, self.against = table, against
        self.comparisons: dict[Cell, Comparison] = {}
        self.intervals: dict[Cell, tuple[float, float]] = {}
        self.references: dict[Cell, int] = {}
        self.informative: dict[Cell, Informative] = {}
        self._marked = {
            place: row for place, row in enumerate(table.rows) if against in (row.label, f"{row.label}-{row.asked}")
        }
        self._problems: dict[tuple[str, str], dict[str, None]] = {}  # where and what -> rows
        self._loaded: dict[tuple[int, DataVersion, str], Outcomes | None] = {}

    @property
    def problems(self) -> tuple[str, ...]:
        """Each problem once, with all affected rows."""
        return tuple(f"{', '.join(rows)} on {where}: {what}" for (where, what), rows in self._problems.items())

    def fill(self, column: Column) -> None:
        """All statistics of one column."""
        found = self._replicates(column)
        for place, own in found.items():
            row = self.table.rows[place]
            try:
                self.intervals[place, column] = interval(own)
                if row.dense:
                    self.informative[place, column] = informative(own, baselines([row], column))
                self._compare(place, column, found)
            except StatisticsError as error:
                self._report(place, column, str(error))

    def _compare(self, place: int, column: Column, found: Mapping[int, Replicates]) -> None:
        if place in self._marked:
            return
        candidates = {index: row for index, row in self._marked.items() if row.spread(column).values}
        reference = _reference(self.table.rows[place], candidates, self.against)
        if reference not in found:
            label = row_label(self.table.rows[reference], self.table)
            raise StatisticsError(f"the predictions of its reference row {label} cannot be used")
        comparison = compare(found[place], found[reference])
        self.comparisons[place, column], self.references[place, column] = comparison, reference
        if comparison.p_value is None:
            self._report(place, column, comparison.note)

    def _replicates(self, column: Column) -> dict[int, Replicates]:
        """Replicates by row; rows with the same examples are resampled together."""
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
        """The outcomes of a row; None if the column is missing, or if they cannot be read, which is reported."""
        row = self.table.rows[place]
        if not row.spread(column).values:
            return None
        key = place, column.data, column.split  # all metrics of a split share the predictions
        if key not in self._loaded:
            try:
                self._loaded[key] = outcomes(row, column, self.table.places)
            except StatisticsError as error:
                self._loaded[key] = None
                self._report(place, column, str(error))
        return self._loaded[key]

    def _report(self, place: int, column: Column, problem: str) -> None:
        rows = self._problems.setdefault((f"{column.data.label} {column.split}", problem), {})
        rows[row_label(self.table.rows[place], self.table)] = None


def _reference(row: Row, candidates: Mapping[int, Row], against: str) -> int:
    """The index of the reference of a row.

    Raises:
        StatisticsError: If there is none, or several fit.
    """
    of_model = {index: other for index, other in candidates.items() if other.model == row.model}
    if not of_model:
        raise StatisticsError(f"no finished reference row {against!r} of {row.model}; train one")
    fitting = {index: other for index, other in of_model.items() if other.comparable(row)}
    if not fitting:
        conditions = f" ({row.conditions})" if row.conditions else ""
        raise StatisticsError(f"no finished reference row {against!r} has the same conditions{conditions}; train one")
    # If a method was run with several options and sizes, take those of the row.
    for alike in (lambda other: other.options == row.options, lambda other: other.asked == row.asked):
        fitting = {index: other for index, other in fitting.items() if alike(other)} or fitting
    if len(fitting) != 1:
        raise StatisticsError(f"several reference rows {against!r}, none with the same options and size; train one")
    return next(iter(fitting))


@dataclass(frozen=True)
class Informative:
    """Whether the dense model clearly beats the baselines.

    Attributes:
        verdict: True if it beats both; False if it does not beat one of them; None if unknown.
        bound: Lower confidence bound of the dense model (one-sided), over seeds and examples.
        note: The verdict and its reasons as a sentence.
    """

    verdict: bool | None
    bound: float
    note: str


def informative(found: Replicates, known: Mapping[str, float]) -> Informative:
    """Whether the dense model clearly beats the majority class and a bag of tokens.

    Args:
        found: Runs of the dense model.
        known: What `embfact.results.chance.baselines` gives; either may be missing. They are taken as exact.

    Raises:
        StatisticsError: If the metric is undefined for a run.
    """
    least = 0.0 if found.metric in SHARES else -1.0
    bound = max(found.mean - components_of(found).half_width(1 - LEVEL), least)
    beaten = {name: bound > value for name, value in known.items()}
    parts = [
        f"{'above' if beaten[name] else 'not clearly above'} {BASELINES[name]} ({value * 100:.1f})"
        for name, value in known.items()
    ]
    parts += [f"{BASELINES[name]} unknown" for name in BASELINES if name not in known]
    verdict = False if not all(beaten.values()) else True if len(known) == len(BASELINES) else None
    kind = {True: "informative", False: "uninformative", None: "unknown whether informative"}[verdict]
    confidence = f"with {LEVEL * 100:g} % confidence dense is above {bound * 100:.1f}"
    one_seed = "" if len(found.outcomes.seeds) > 1 else " (over examples only: one seed)"
    return Informative(verdict, bound, f"{kind}: {confidence}{one_seed}: {', '.join(parts)}")


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values to bound the chance of any false discovery among them (Holm, 1979); None is not a test."""
    tested = [value for value in p_values if value is not None]
    if not tested:
        return [None] * len(p_values)
    from statsmodels.stats.multitest import multipletests

    adjusted = iter(multipletests(tested, method="holm")[1])
    return [None if value is None else float(next(adjusted)) for value in p_values]
