"""Runs that did not learn: their figure is not above that of a constant prediction.

Light to import: the standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from embfact.results.result_table import Column, Row
from embfact.runs.record import RunRecord

BASELINES = {"majority": "the majority class", "bag_of_tokens": "a bag of tokens"}
_ONE_SIDED = 1.645  # quantile of the normal distribution: 95 %
SHARES = ("accuracy", "f1")  # the other metrics are correlations


def at_chance(run: RunRecord, column: Column) -> bool:
    """Whether a run is not clearly above the majority class on a figure, by 95 % over examples (one-sided).

    An undefined metric is at chance too: the predictions are constant. False where the record holds no baselines.
    """
    baselines = run.baselines.get(column.split, {}).get("majority", {})
    figures = run.metrics.get(column.split, {})
    if column.metric not in baselines or column.metric not in figures:
        return False
    value, constant = figures[column.metric], baselines[column.metric] or 0.0
    if value is None:
        return True
    examples = max(run.data.rows.get(column.split, 0), 2)
    deviation = math.sqrt(value * (1 - value)) if column.metric in SHARES else 1 - value**2
    return value - _ONE_SIDED * deviation / math.sqrt(examples) <= constant


def baselines(rows: Iterable[Row], column: Column) -> dict[str, float]:
    """The figures that a model has to beat, from the first record with any.

    Returns:
        Key of `BASELINES` -> figure as a fraction; 0 where a constant has no correlation. Unknown ones are missing.
    """
    held = (run.baselines.get(column.split, {}) for row in rows for run in row.finished(column.data))
    kept = next((one for one in held if one), {})
    return {name: kept[name][column.metric] or 0.0 for name in BASELINES if column.metric in kept.get(name, {})}


def seeds_at_chance(row: Row, column: Column) -> list[int]:
    """The seeds of a row whose runs did not learn, ascending."""
    return sorted(run.seed for run in row.finished(column.data) if at_chance(run, column))


def learned_nothing(row: Row, column: Column) -> bool:
    """Whether every seed of a row is at chance: there is no model to compare."""
    seeds = row.spread(column).values
    return bool(seeds) and len(seeds_at_chance(row, column)) == len(seeds)
