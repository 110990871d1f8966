"""Runs that did not learn, by their records."""

from __future__ import annotations

from statistics import NormalDist

import pytest

from embfact.results.chance import at_chance, baselines, learned_nothing, seeds_at_chance
from embfact.results.collect import Collected
from embfact.results.result_table import ResultTable, build_table
from embfact.results.table.notes import warnings
from embfact.runs.record import RunRecord
from tests.helpers.records import make_values


def run(value: float | None, majority: float | None = 0.509, metric: str = "accuracy", seed: int = 0) -> RunRecord:
    values = make_values(metrics={"validation": {metric: value}}, seed=seed)
    return RunRecord.model_validate(values | {"baselines": {"validation": {"majority": {metric: majority}}}})


def table_of(*runs: RunRecord) -> ResultTable:
    return build_table(Collected(runs))


@pytest.mark.parametrize(
    ("value", "majority", "metric", "expected"),
    [
        (0.509, 0.509, "accuracy", True),  # constant
        (0.491, 0.509, "accuracy", True),  # constant, of the other class
        (0.53, 0.509, "accuracy", True),
        (0.55, 0.509, "accuracy", False),
        (0.0, 0.0, "matthews", True),
        (0.04, None, "matthews", True),
        (0.10, None, "matthews", False),
        (None, None, "pearson", True),
        (0.82, 0.81, "f1", True),
        (0.90, 0.81, "f1", False),
    ],
)
def test_a_run_is_at_chance(value: float | None, majority: float | None, metric: str, expected: bool) -> None:
    one = run(value, majority, metric)
    assert at_chance(one, table_of(one).columns[0]) is expected


def test_the_bound_is_that_of_a_one_sided_test() -> None:
    """For 872 examples and half of them in each class: about 2.8 points."""
    spare = NormalDist().inv_cdf(0.95) * (0.5 * 0.5 / 872) ** 0.5
    for above, expected in ((0.98, True), (1.02, False)):
        one = run(0.5 + above * spare, 0.5)
        assert at_chance(one, table_of(one).columns[0]) is expected


def test_without_baselines_nothing_is_said() -> None:
    one = RunRecord.model_validate(make_values(metrics={"validation": {"accuracy": 0.1}}))
    assert not at_chance(one, table_of(one).columns[0])


def test_the_seeds_are_named_once_and_the_mean_keeps_them() -> None:
    table = table_of(run(0.509, seed=0), run(0.8, seed=1), run(0.5, seed=2))
    (row,), (column,) = table.rows, table.columns
    assert seeds_at_chance(row, column) == [0, 2]
    assert not learned_nothing(row, column)
    assert learned_nothing(table_of(run(0.5), run(0.509, seed=1)).rows[0], column)
    assert row.spread(column).mean == pytest.approx((0.509 + 0.8 + 0.5) / 3)
    (note,) = [line for line in warnings(table) if "majority class" in line]
    assert "svd r=64 (seeds 0, 2)" in note


def test_baselines_are_those_of_the_first_record_with_any_and_a_constant_correlates_with_nothing() -> None:
    plain = RunRecord.model_validate(make_values(metrics={"validation": {"pearson": 0.5}}))
    table = table_of(plain, run(0.5, None, "pearson", seed=1))
    assert baselines(table.rows, table.columns[0]) == {"majority": 0.0}
