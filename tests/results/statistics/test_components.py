"""Components of variance, and tests made of them: against written-out references and simulated truths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from embfact.results.statistics.components import Components, components
from embfact.results.statistics.resampling import draws

SIZES = st.floats(1e-8, 1.0)


def anova(values: np.ndarray) -> Components:
    """The components by mean squares of a two-way layout without repetition, for figures of seeds x examples."""
    seeds, examples = values.shape
    by_seed, by_example, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
    rest = values - by_seed[:, None] - by_example + mean
    squares = (
        examples * by_seed.var(ddof=1),
        seeds * by_example.var(ddof=1),
        (rest**2).sum() / ((seeds - 1) * (examples - 1)),
    )
    return Components(seeds, *(float(square) / (seeds * examples) for square in squares))


def test_components_are_those_of_an_analysis_of_variance() -> None:
    generator = np.random.default_rng(0)
    effects = generator.normal(0, 0.2, (4, 1)), generator.normal(0, 2, 500), generator.normal(0, 1, (4, 500))
    values = sum(effects)
    drawn = np.concatenate([values @ counts.T / 500 for counts in draws(500, 20000, seed=0)], axis=1)
    found, expected = components(values.mean(axis=1), drawn), anova(values)
    assert found.seed == pytest.approx(expected.seed)
    assert found.example == pytest.approx(expected.example, rel=0.04)
    assert found.residual == pytest.approx(expected.residual, rel=0.04)


def test_without_variance_of_examples_it_is_the_paired_t_test() -> None:
    first, second = np.random.default_rng(1).normal(size=(2, 6))
    reference = stats.ttest_rel(first, second)
    difference = first - second
    found = Components(6, float(difference.var(ddof=1)) / 6, 0.0, 0.0)
    assert found.p_value(difference.mean()) == pytest.approx(reference.pvalue)
    limits = reference.confidence_interval(0.95)
    assert found.half_width(0.025) == pytest.approx((limits.high - limits.low) / 2)


def test_of_one_seed_it_is_the_normal_test_over_examples() -> None:
    found = Components(1, 0.0, 0.04, 0.0)
    assert found.half_width(0.025) == pytest.approx(0.2 * stats.norm.ppf(0.975))
    assert found.p_value(0.3) == pytest.approx(2 * stats.norm.sf(1.5))


def test_the_quantile_is_that_of_cochran_and_cox() -> None:
    found = Components(3, 0.02, 0.05, 0.01)
    weighted = (stats.t.ppf(0.975, 2) * 0.02 + stats.norm.ppf(0.975) * 0.04) / 0.06
    assert found.half_width(0.025) == pytest.approx(weighted * np.sqrt(0.06))


@settings(deadline=None)
@given(st.integers(1, 40), SIZES, SIZES, SIZES, st.floats(-1, 1), st.floats(0.8, 0.99))
def test_the_p_value_is_below_a_level_just_where_the_interval_leaves_zero_out(
    seeds: int, seed: float, example: float, residual: float, difference: float, level: float
) -> None:
    found = Components(seeds, seed, example, residual)
    p_value, half = found.p_value(difference), found.half_width((1 - level) / 2)
    assert 0 <= p_value <= 1
    if abs(abs(difference) - half) > 1e-9:
        assert (p_value < 1 - level) == (abs(difference) > half)


@settings(deadline=None)
@given(st.integers(2, 40), SIZES, SIZES, SIZES)
def test_it_is_never_surer_than_over_examples_alone_or_than_a_normal_test(
    seeds: int, seed: float, example: float, residual: float
) -> None:
    found = Components(seeds, seed, example, residual)
    half = found.half_width(0.025)
    assert half >= stats.norm.ppf(0.975) * np.sqrt(example) * (1 - 1e-9)
    assert half >= stats.norm.ppf(0.975) * np.sqrt(found.seed + found.shared) * (1 - 1e-9)


def test_nothing_that_varies_gives_a_p_value_of_zero_or_one() -> None:
    found = Components(3, 0.0, 0.0, 0.0)
    assert found.p_value(0.0) == 1.0
    assert found.p_value(0.1) == 0.0


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_false_positives_are_at_most_seven_percent_whatever_varies(seeds: int) -> None:
    generator, runs = np.random.default_rng(seeds), 4000
    for seed, example, residual in itertools.product([0.1, 1, 4], [0, 0.1, 1, 4], [0, 0.3, 1]):
        means = generator.normal(0, np.sqrt(seed + example + residual), runs)
        between = (seed + residual) * generator.chisquare(seeds - 1, runs) / (seeds - 1)
        found = (Components(seeds, one, example + residual, residual) for one in between)
        outside = [abs(mean) > one.half_width(0.025) for mean, one in zip(means, found, strict=True)]
        assert np.mean(outside) <= 0.07, (seed, example, residual)


@settings(deadline=None)
@given(st.floats(0.5, 3.0))
def test_seeds_needed_are_those_of_statsmodels(effect: float) -> None:
    found = Components(4, 1 / 4, 0.0, 0.0)  # a standard deviation of 1 between seeds
    expected = TTestPower().solve_power(effect_size=effect, alpha=0.05, power=0.8)
    seeds = found.seeds_for(effect, tail=0.025, power=0.8)
    assert seeds is not None
    assert abs(seeds - np.ceil(expected)) <= 1


def test_seeds_needed_take_the_examples_into_account() -> None:
    found = Components(4, 0.25, 0.04, 0.0)
    without = Components(4, 0.25, 0.0, 0.0).seeds_for(1.0, 0.025, 0.8)
    assert without is not None
    assert (found.seeds_for(1.0, 0.025, 0.8) or 0) > without
    assert found.seeds_for(0.5, 0.025, 0.8) is None  # (1.96 + 0.84) * 0.2 is more than the effect
    assert found.seeds_for(0.0, 0.025, 0.8) is None
    assert Components(1, 0.0, 0.04, 0.0).seeds_for(1.0, 0.025, 0.8) is None
