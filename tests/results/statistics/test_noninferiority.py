"""Non-inferiority: the one-sided bound, in words, and how many seeds would show it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from embfact.results.statistics.compare import POWER, noninferior
from tests.helpers.sweeps import comparison


def test_the_bound_is_that_of_a_one_sided_t_test() -> None:
    values = np.array([-0.004, 0.001, -0.003, 0.002, -0.001])
    found = comparison(values.mean(), seeds=5, sd=values.std(ddof=1))
    reference = stats.ttest_1samp(-values, 0, alternative="less").confidence_interval(0.95).high
    answer = noninferior(found, 0.008)
    assert answer.bound == pytest.approx(reference)
    assert answer.holds == bool(stats.ttest_1samp(-values, 0.008, alternative="less").pvalue < 0.05)
    assert answer.sentence == f"dense minus method is below {reference * 100:.2f} points with 95 % confidence"


def test_where_it_does_not_hold_the_sentence_says_how_many_seeds_would_do() -> None:
    found = comparison(-0.004)
    answer = noninferior(found, 0.006, method="svd r=64")
    assert not answer.holds
    assert answer.sentence.startswith("dense minus svd r=64 is below 0.87 points with 95 % confidence; about ")
    seeds = found.components.seeds_for(-0.004 + 0.006, 0.05, POWER)
    assert f"about {seeds} seeds of each would show that it is below 0.6 points" in answer.sentence
    again = comparison(-0.004, seeds=seeds or 0)
    assert noninferior(again, 0.006).holds


def test_no_number_of_seeds_shows_a_loss_below_a_margin_that_it_exceeds() -> None:
    assert comparison(-0.01).components.seeds_for(-0.01 + 0.008, 0.05, POWER) is None
    assert "not even 1,000 seeds" in noninferior(comparison(-0.01), 0.008).sentence


def test_one_seed_is_labelled() -> None:
    found = comparison(-0.001, seeds=1, example=0.002)
    assert "for these runs (over examples only: one seed)" in noninferior(found, 0.008).sentence
    assert found.components.seeds_for(0.001, 0.025, POWER) is None


def test_seeds_for_the_observed_difference_are_two_sided() -> None:
    found = comparison(-0.004)
    several, more = (found.components.seeds_for(0.004, 0.025, power) for power in (POWER, 0.95))
    assert several is not None
    assert more is not None
    assert 8 <= several < more
