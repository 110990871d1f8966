"""Outcomes are read whole, of the right runs, or refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embfact.errors import UserError
from embfact.results.statistics.outcomes import Outcomes, StatisticsError, outcomes
from embfact.runs.record import PREDICTIONS
from tests.helpers.sweeps import SPLIT, Sweep, simulate


@pytest.fixture
def runs() -> Outcomes:
    return simulate(2, 30, np.random.default_rng(0))


def read(sweep: Sweep) -> Outcomes:
    table = sweep.table
    return outcomes(table.rows[0], table.columns[0], table.places)


def files(sweep: Sweep) -> list[Path]:
    return [place / PREDICTIONS for place in sweep.places.values()]


def test_predictions_of_all_seeds_by_ascending_id(sweep: Sweep, runs: Outcomes) -> None:
    sweep.add(runs)
    first, _ = files(sweep)
    pq.write_table(pq.read_table(first).take(np.arange(30)[::-1].copy()), first)
    found = read(sweep)
    assert found.seeds == (0, 1)
    for name in ("ids", "labels", "predictions"):
        np.testing.assert_array_equal(getattr(found, name), getattr(runs, name))


def test_a_regression_has_its_scores(sweep: Sweep) -> None:
    targets = np.linspace(0, 5, 12)
    runs = Outcomes((0,), np.arange(12), targets, targets[None] + 0.25)
    sweep.add(runs, metrics=("pearson",))
    np.testing.assert_allclose(read(sweep).predictions, runs.predictions)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "is missing; train the run again with force=true"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "cannot be read"),
        (lambda path: path.write_text("no parquet"), "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: pq.write_table(pq.read_table(path).drop(["label"]), path), r"cannot be read \(no column label\)"),
        (lambda path: pq.write_table(pq.read_table(path).slice(0, 0), path), "no rows of the split validation"),
        (lambda path: pq.write_table(pq.read_table(path).slice(9), path), "scored on other examples|but the record"),
        (lambda path: _replace(path, "logits", ["x"] * 30), "cannot be read"),
        (lambda path: _replace(path, "logits", [[0.1]] * 29 + [[]]), "invalid logits or ids"),
        (lambda path: _replace(path, "logits", [[0.1, float("nan")]] * 30), "invalid logits or ids"),
        (lambda path: _replace(path, "logits", [None] * 30), "invalid logits|cannot be read"),
        (lambda path: _replace(path, "id", [3] * 30), "invalid logits or ids"),
        (lambda path: _replace(path, "label", [None] * 30), "cannot be read|but the record"),
        (lambda path: _replace(path, "label", ["a"] * 30), "cannot be read|but the record"),
        (lambda path: _replace(path, "logits", [[1.0, 0.0]] * 30), "but the record of its run says"),
    ],
)
def test_damaged_predictions_are_refused_in_words(sweep: Sweep, runs: Outcomes, damage: object, words: str) -> None:
    sweep.add(runs)
    assert callable(damage)
    damage(files(sweep)[1])
    with pytest.raises(StatisticsError, match=words):
        read(sweep)


def _replace(path: Path, column: str, values: list[object]) -> None:
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(column), column, pa.array(values)), path)


def test_seeds_scored_on_other_examples_are_refused(sweep: Sweep, runs: Outcomes) -> None:
    sweep.add(runs.only((0,)))
    sweep.add(Outcomes((1,), runs.ids + 1, runs.labels, runs.predictions[1:]))
    with pytest.raises(StatisticsError, match=r"s1-\w+ was scored on other examples or labels than .*s0-"):
        read(sweep)


def test_runs_that_are_not_on_this_machine_are_told(sweep: Sweep, runs: Outcomes) -> None:
    sweep.add(runs)
    sweep.places.clear()
    with pytest.raises(UserError, match="not on this machine; fetch its run directory"):
        read(sweep)


def test_a_row_without_the_column_is_told(sweep: Sweep, runs: Outcomes) -> None:
    sweep.add(runs)
    sweep.add(runs, data="rte", method="none", rank=None)
    table = sweep.table
    (column,) = [column for column in table.columns if column.data.label == "sst2"]
    with pytest.raises(StatisticsError, match=f"no finished run reports accuracy on {SPLIT}"):
        outcomes(table.rows[0], column, table.places)
