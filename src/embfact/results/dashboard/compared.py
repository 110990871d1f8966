"""The comparison of rows with their dense rows, and the baselines of each figure, as the page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from embfact.results.chance import BASELINES, baselines
from embfact.results.dashboard.importance import importances
from embfact.results.result_table import Column, ResultTable, Row
from embfact.results.table.fill import sign_of
from embfact.runs.record import PREDICTIONS

if TYPE_CHECKING:
    from embfact.results.statistics.table_statistics import TableStatistics

Values = dict[str, Any]
Computed = tuple["TableStatistics | None", list[Values]]
_last: dict[Any, Computed] = {}


def computed(table: ResultTable, statistics: TableStatistics | None) -> Computed:
    """The statistics of a table against dense, unless they are given, and the importance of its options.

    No statistics if no run on this machine has predictions. Both are kept for the last records: a page that follows a
    sweep is made every few seconds, mostly of the same records.
    """
    runs = [run for row in table.rows for run in row.runs]
    records = tuple((run.hash, run.started, run.status, table.places.get(run.hash)) for run in runs)
    if records not in _last:
        if statistics is None and any((place / PREDICTIONS).is_file() for place in table.places.values()):
            from embfact.results.statistics.table_statistics import table_statistics

            statistics = table_statistics(table)
        found = statistics, importances(table)
        _last.clear()
        _last[records] = found
    return _last[records]


def comparisons(
    table: ResultTable, figures: Sequence[tuple[str, str]], statistics: TableStatistics | None
) -> list[Values]:
    """Every row minus its dense row, for every figure.

    Returns:
        For each: ``group``, ``data``, ``figure`` (its index), ``difference`` as a fraction, ``share`` of dense (None
        unless dense is above 0); with statistics also the interval (``low``, ``high``) and the ``sign`` of `sign_of`.
    """
    found = []
    for place, row in enumerate(table.rows):
        for column in table.columns:
            mean, dense = row.spread(column).mean, None if row.dense else _dense(table, row, column)
            if mean is None or dense is None:
                continue
            tested = statistics.comparisons.get((place, column)) if statistics else None
            values = {
                "group": place,
                "data": column.data.label,
                "figure": figures.index((column.split, column.metric)),
                "difference": tested.difference if tested else mean - dense,
                "share": mean / dense if dense > 0 else None,
            }
            if tested and statistics:
                sign = sign_of(statistics, (place, column))
                values |= {"low": tested.low, "high": tested.high, "sign": sign}
            found.append(
                {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}
            )
    return found


def baseline_lines(table: ResultTable, figures: Sequence[tuple[str, str]]) -> list[Values]:
    """What a model has to beat, for every figure of which the records say it."""
    return [
        {
            "data": column.data.label,
            "figure": figures.index((column.split, column.metric)),
            "name": BASELINES[name],
            "value": round(value, 6),
        }
        for column in table.columns
        for name, value in baselines(table.rows, column).items()
    ]


def _dense(table: ResultTable, row: Row, column: Column) -> float | None:
    """The mean of the dense row with the conditions of a row; None unless there is exactly one."""
    means = [other.spread(column).mean for other in table.rows if other.dense and other.comparable(row)]
    known = [mean for mean in means if mean is not None]
    return known[0] if len(known) == 1 else None
