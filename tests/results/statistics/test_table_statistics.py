"""The statistics of a whole table, and what it says of rows that it cannot compare."""

from __future__ import annotations

import numpy as np
import pytest

from embfact.results.result_table import row_label
from embfact.results.statistics.outcomes import Outcomes
from embfact.results.statistics.table_statistics import TableStatistics, holm, table_statistics
from embfact.runs.record import PREDICTIONS
from tests.helpers.sweeps import SPLIT, Sweep, compared, interval_of, simulate

DENSE = {"method": "none", "rank": None}
BASELINES = {SPLIT: {"majority": {"accuracy": 0.5}, "bag_of_tokens": {"accuracy": 0.6}}}


def runs(seeds: int = 3, right: float = 1.2) -> Outcomes:
    """Runs of a method that is right more often the higher `right` is."""
    generator = np.random.default_rng(int(100 * right) + seeds)
    return simulate(seeds, 200, generator, right=right, seed_sd=0.05)


def by_label(sweep: Sweep, found: TableStatistics) -> dict[str, float]:
    """Method and size -> difference."""
    rows = sweep.table.rows
    return {f"{rows[place].label} {rows[place].asked}": one.difference for (place, _), one in found.comparisons.items()}


def test_every_row_is_compared_with_dense_as_by_hand(sweep: Sweep) -> None:
    dense, small, large = runs(right=1.4), runs(right=0.6), runs(right=1.3)
    metrics = ("accuracy", "matthews")
    sweep.add(dense, metrics=metrics, **DENSE, baselines=BASELINES)
    sweep.add(small, metrics=metrics, rank=16)
    sweep.add(large, metrics=metrics, rank=64)
    table = sweep.table
    found = table_statistics(table)
    assert found.problems == ()
    for place, row in ((1, small), (2, large)):
        for column in table.columns:
            assert found.comparisons[place, column] == compared(row, dense, column.metric)
            assert found.intervals[place, column] == pytest.approx(interval_of(row, column.metric))
            assert found.against[place, column] == 0
    assert list(found.adjusted.values()) == holm([one.p_value for one in found.comparisons.values()])
    accuracy, matthews = table.columns
    assert found.informative[0, accuracy].verdict is True
    assert found.informative[0, matthews].verdict is None
    assert found == table_statistics(table)


def test_a_table_may_be_compared_with_another_method(sweep: Sweep) -> None:
    sweep.add(runs(right=1.4), **DENSE)
    for method in ("svd", "weighted_svd"):
        for rank in (16, 64):
            sweep.add(runs(right=rank / 50), method=method, rank=rank)
    labels = set(by_label(sweep, table_statistics(sweep.table, "svd-r64")))
    assert labels == {"none None", "svd r16", "weighted_svd r16", "weighted_svd r64"}
    found = table_statistics(sweep.table, "svd")  # of several sizes, the row's own
    assert by_label(sweep, found) == {"weighted_svd r16": 0.0, "weighted_svd r64": 0.0}
    assert any(line.startswith("none on sst2 validation: several reference rows 'svd'") for line in found.problems)


def test_the_reference_has_the_conditions_of_the_row(sweep: Sweep) -> None:
    for rate, right in ((1e-5, 1.2), (2e-5, 1.6)):
        options = {"optimizer": {"lr": rate}}
        sweep.add(runs(right=right), **DENSE, options=options)
        own = options | {"factorization": {"iterations": int(rate * 1e5)}}
        sweep.add(runs(right=right), rank=16, options=own)
    sweep.add(runs(), rank=32, options={"optimizer": {"lr": 3e-5}})
    found = table_statistics(sweep.table)
    assert by_label(sweep, found) == {"svd r16": 0.0}
    assert len(found.comparisons) == 2
    assert len(found.problems) == 1
    assert found.problems[0].startswith("svd r=32 (lr=3e-05) on sst2 validation: no finished reference row 'none'")


def test_a_reference_of_other_conditions_is_not_borrowed(sweep: Sweep) -> None:
    sweep.add(runs(), **DENSE, options={"optimizer": {"lr": 1e-5}})
    sweep.add(runs(), rank=16, options={"optimizer": {"lr": 2e-5}})
    found = table_statistics(sweep.table)
    assert not found.comparisons
    assert len(found.problems) == 1
    assert "(lr=2e-05)" in found.problems[0]


def test_a_method_is_compared_with_another_of_its_conditions(sweep: Sweep) -> None:
    for rate, right in ((1e-5, 1.2), (2e-5, 1.6)):
        options = {"optimizer": {"lr": rate}}
        for method in ("svd", "weighted_svd"):
            sweep.add(runs(right=right), method=method, rank=16, options=options)
    found = table_statistics(sweep.table, "svd")
    assert list(by_label(sweep, found).values()) == [0.0]
    assert len(found.comparisons) == 2


def test_other_data_and_other_models_are_never_compared(sweep: Sweep) -> None:
    sweep.add(runs(), **DENSE, data="rte")
    sweep.add(runs(), rank=16, data="sst2")
    found = table_statistics(sweep.table)
    assert not found.comparisons
    assert found.problems == ("svd r=16 on sst2 validation: no finished reference row 'none' of minilm; train one",)


def test_what_cannot_be_compared_is_told_and_the_rest_is_done(sweep: Sweep) -> None:
    sweep.add(runs(), **DENSE)
    sweep.add(runs(right=0.8), rank=8)
    sweep.add(runs(right=0.9), rank=16)
    sweep.add(runs(right=1.0).only((2,)), rank=32)
    sweep.add(Outcomes((5, 6), np.arange(200), np.arange(200) % 2, runs().predictions[:2]), rank=64)
    shifted = runs()
    sweep.add(Outcomes(shifted.seeds, shifted.ids + 1, shifted.labels, shifted.predictions), rank=128)
    damaged = next(record for record in sweep.records if record.method.rank == 16)
    (sweep.places[damaged.hash] / PREDICTIONS).write_bytes(b"PAR1 half")
    found = table_statistics(sweep.table)
    assert set(by_label(sweep, found)) == {"svd r8", "svd r32", "svd r64"}  # the last of other seeds
    told = {line.split(" on ")[0]: line for line in found.problems}
    assert "cannot be read" in told["svd r=16"]
    assert "one seed of the method: no test" in told["svd r=32"]
    assert "other examples or labels than the reference" in told["svd r=128"]
    assert {place for place, _ in found.intervals} == {0, 1, 3, 4, 5}
    assert sorted(value is None for value in found.adjusted.values()) == [False, False, True]


def test_a_reference_that_cannot_be_read_is_told_once_with_all_rows(sweep: Sweep) -> None:
    sweep.add(runs(), **DENSE)
    sweep.add(runs(), rank=8)
    sweep.add(runs(), rank=16)
    for record in sweep.records[:3]:
        (sweep.places[record.hash] / PREDICTIONS).unlink()
    found = table_statistics(sweep.table)
    assert not found.comparisons
    assert found.problems[0].startswith("none on sst2 validation: ")
    assert "is missing" in found.problems[0]
    assert found.problems[1:] == (
        "svd r=8, svd r=16 on sst2 validation: the predictions of its reference row none cannot be used",
    )


def test_an_undefined_metric_is_told(sweep: Sweep) -> None:
    targets = np.linspace(0, 5, 40)
    constant = Outcomes((0, 1), np.arange(40), targets, np.stack([targets, np.full(40, 2.0)]))
    sweep.add(Outcomes((0, 1), constant.ids, targets, np.stack([targets, targets])), metrics=("pearson",), **DENSE)
    sweep.add(constant, metrics=("pearson",), rank=8)
    found = table_statistics(sweep.table)
    assert not found.comparisons
    assert [line.split(" (")[0] for line in found.problems] == [
        "svd r=8 on sst2 validation: pearson is undefined for seed 1"
    ]


def test_a_table_of_failed_runs_has_no_statistics(sweep: Sweep) -> None:
    assert table_statistics(sweep.table) == TableStatistics()


def test_a_method_that_never_left_chance_makes_no_other_test_stricter(sweep: Sweep) -> None:
    majority = {SPLIT: {"majority": {"accuracy": 0.5}}}
    sweep.add(runs(), **DENSE, baselines=majority)
    sweep.add(runs(right=0.9), rank=16, baselines=majority)
    alone = table_statistics(sweep.table).adjusted
    sweep.add(simulate(3, 200, np.random.default_rng(1), right=-0.3), rank=2, baselines=majority)
    found = table_statistics(sweep.table)
    label = {row_label(sweep.table.rows[place], sweep.table): value for (place, _), value in found.adjusted.items()}
    assert label["svd r=2"] is None
    assert len(found.comparisons) == 2
    assert label["svd r=16"] == next(iter(alone.values()))
    assert found.only(found.comparisons).adjusted == found.adjusted  # as a table of every cell has it
