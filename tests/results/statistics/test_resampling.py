"""Resamples are the same for all runs, and the components of a metric come from them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from embfact.results.statistics import resampling
from embfact.results.statistics.outcomes import Outcomes, StatisticsError
from embfact.results.statistics.resampling import components_of, draws, replicates
from tests.helpers.sweeps import simulate


def test_every_resample_has_as_many_examples_and_equal_seeds_give_equal_draws() -> None:
    (first,), (again,) = draws(40, 30, seed=1), draws(40, 30, seed=1)
    assert (first.sum(axis=1) == 40).all()
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, next(draws(40, 30, seed=2)))


def test_draws_do_not_depend_on_how_many_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = draws(40, 30, seed=1)
    monkeypatch.setattr(resampling, "_AT_ONCE", 7 * 40)
    np.testing.assert_array_equal(np.concatenate(list(draws(40, 30, seed=1))), whole)


def test_the_bootstrap_over_examples_is_that_of_scipy() -> None:
    runs = simulate(1, 300, np.random.default_rng(1))
    (found,) = replicates([runs], "accuracy", resamples=4000)
    right = (runs.predictions[0] == runs.labels).astype(float)
    reference = stats.bootstrap((right,), np.mean, n_resamples=4000, rng=np.random.default_rng(2))
    assert found.mean == right.mean()
    assert found.drawn.std(ddof=1) == pytest.approx(reference.standard_error, rel=0.05)


def test_rows_are_replicated_together_as_alone() -> None:
    generator = np.random.default_rng(1)
    rows = [simulate(2, 60, generator), simulate(3, 60, generator)]
    for row, together in zip(rows, replicates(rows, "f1", resamples=20), strict=True):
        (alone,) = replicates([row], "f1", resamples=20)
        np.testing.assert_array_equal(alone.drawn, together.drawn)
        np.testing.assert_array_equal(alone.values, together.values)


def test_a_difference_takes_every_seed_of_both_and_the_same_draws() -> None:
    generator = np.random.default_rng(1)
    rows = replicates([simulate(3, 60, generator), simulate(5, 60, generator)], "accuracy", resamples=50)
    found = components_of(*rows)
    assert [one.count for one in found.seeds] == [3, 5]
    for one, row in zip(found.seeds, rows, strict=True):
        assert one.variance == pytest.approx(stats.sem(row.values) ** 2)
    difference = rows[0].drawn.mean(axis=0) - rows[1].drawn.mean(axis=0)
    assert found.example == pytest.approx(difference.var(ddof=1))
    assert found.residual == pytest.approx(sum(components_of(row).residual for row in rows))


def test_an_undefined_metric_is_told_with_its_seed() -> None:
    targets = np.linspace(0, 5, 20)
    runs = Outcomes((0, 7), np.arange(20), targets, np.stack([targets, np.zeros(20)]))
    (found,) = replicates([runs], "pearson", resamples=20)
    with pytest.raises(StatisticsError, match=r"pearson is undefined for seed 7 \(constant"):
        components_of(found)


def test_resamples_without_the_metric_do_not_count_unless_they_are_most() -> None:
    targets = np.array([0.0, 1.0, 1.0])
    few = Outcomes((0,), np.arange(3), targets, targets[None] + [[0, 0.5, 0]])
    (found,) = replicates([few], "pearson", resamples=200)
    assert np.isnan(found.drawn).any()
    assert np.isfinite(components_of(found).example)
    one = Outcomes((0,), np.arange(2), targets[:2], targets[None, :2])
    (found,) = replicates([one], "pearson", resamples=9, seed=4)
    found.drawn[:, :5] = np.nan
    with pytest.raises(StatisticsError, match="most resamples"):
        components_of(found)
