"""Components of variance, and tests made of them: against written-out references and simulated truths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestIndPower

from embfact.results.statistics.components import Components, Seeds, components
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
    seed, example, residual = (float(square) / (seeds * examples) for square in squares)
    return Components((Seeds(seeds, seed),), example, residual)


def test_components_are_those_of_an_analysis_of_variance() -> None:
    generator = np.random.default_rng(0)
    effects = generator.normal(0, 0.2, (4, 1)), generator.normal(0, 2, 500), generator.normal(0, 1, (4, 500))
    values = sum(effects)
    drawn = np.concatenate([values @ counts.T / 500 for counts in draws(500, 20000, seed=0)], axis=1)
    found, expected = components([values.mean(axis=1)], [drawn]), anova(values)
    assert found.seed == pytest.approx(expected.seed)
    assert found.example == pytest.approx(expected.example, rel=0.04)
    assert found.residual == pytest.approx(expected.residual, rel=0.04)


def test_without_variance_of_examples_it_is_welchs_t_test() -> None:
    first, second = np.random.default_rng(1).normal(size=(2, 6))
    reference = stats.ttest_ind(first, 3 * second, equal_var=False)
    found = Components((Seeds(6, stats.sem(first) ** 2), Seeds(6, stats.sem(3 * second) ** 2)), 0.0, 0.0)
    assert found.p_value(first.mean() - 3 * second.mean()) == pytest.approx(reference.pvalue)
    limits = reference.confidence_interval(0.95)
    assert found.half_width(0.025) == pytest.approx((limits.high - limits.low) / 2)


def test_of_one_method_it_is_students_t_test() -> None:
    values = np.random.default_rng(1).normal(size=6)
    found = Components((Seeds(6, stats.sem(values) ** 2),), 0.0, 0.0)
    assert found.p_value(values.mean()) == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_of_one_seed_it_is_the_normal_test_over_examples() -> None:
    found = Components((Seeds(1, 0.0),), 0.04, 0.0)
    assert found.half_width(0.025) == pytest.approx(0.2 * stats.norm.ppf(0.975))
    assert found.p_value(0.3) == pytest.approx(2 * stats.norm.sf(1.5))


def test_half_widths_of_seeds_and_examples_are_combined() -> None:
    found = Components((Seeds(3, 0.02),), 0.05, 0.01)
    assert found.half_width(0.025) == pytest.approx(
        np.hypot(stats.t.ppf(0.975, 2) * np.sqrt(0.02), stats.norm.ppf(0.975) * np.sqrt(0.04))
    )


def test_unequal_numbers_of_seeds_widen_welchs_interval() -> None:
    """By (1 - 3/10) / 2 of the way to the quantile of Cochran and Cox."""
    found = Components((Seeds(3, 0.02), Seeds(10, 0.01)), 0.0, 0.0)
    freedom = 0.03**2 / (0.02**2 / 2 + 0.01**2 / 9)
    welch = stats.t.ppf(0.975, freedom)
    cochran = (stats.t.ppf(0.975, 2) * 0.02 + stats.t.ppf(0.975, 9) * 0.01) / 0.03
    assert found.half_width(0.025) == pytest.approx((0.65 * welch + 0.35 * cochran) * np.sqrt(0.03))


def two(first: int, second: int, one: float, other: float, example: float, residual: float) -> Components:
    return Components((Seeds(first, one if first > 1 else 0.0), Seeds(second, other)), example, residual)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(2, 40), SIZES, SIZES, SIZES, SIZES, st.floats(-1, 1), st.floats(0.8, 0.99))
def test_the_p_value_is_below_a_level_exactly_where_the_interval_excludes_zero(
    first: int, second: int, one: float, other: float, example: float, residual: float, difference: float, level: float
) -> None:
    found = two(first, second, one, other, example, residual)
    p_value, half = found.p_value(difference), found.half_width((1 - level) / 2)
    assert 0 <= p_value <= 1
    if abs(abs(difference) - half) > 1e-9:
        assert (p_value < 1 - level) == (abs(difference) > half)


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), SIZES, SIZES, SIZES, SIZES, SIZES)
def test_no_variance_makes_it_surer(
    first: int, second: int, one: float, other: float, example: float, residual: float, more: float
) -> None:
    half = two(first, second, one, other, example, residual).half_width(0.025)
    normal = stats.norm.ppf(0.975) * (1 - 1e-9)
    assert half >= normal * np.sqrt(example)
    assert half >= normal * np.sqrt(one + other + max(example - residual, 0))
    assert half >= two(first, second, one, other, 0.0, 0.0).half_width(0.025) * (1 - 1e-9)
    assert two(first, second, one, other, example + more, residual).half_width(0.025) >= half


def test_nothing_that_varies_gives_a_p_value_of_zero_or_one() -> None:
    found = two(3, 3, 0.0, 0.0, 0.0, 0.0)
    assert found.p_value(0.0) == 1.0
    assert found.p_value(0.1) == 0.0


@pytest.mark.parametrize(("first", "second"), [(3, 3), (5, 5), (10, 10), (3, 10)])
def test_false_positives_are_at_most_six_and_a_half_percent_whatever_varies(first: int, second: int) -> None:
    """`benchmarks/coverage.py` has larger simulations: heavy tails, a shared effect of the seed, and widths."""
    generator, runs = np.random.default_rng(first + second), 8000
    noise = 2.6 * np.sqrt(0.065 * 0.935 / runs)  # of the simulation: one side, 99.5 %
    for spread, example, residual in itertools.product([0.25, 0.5, 1, 2, 4], [0, 1, 4], [0, 0.3]):
        seeds = (spread**2 / first, 1 / second)
        drawn = [
            one * generator.chisquare(count - 1, runs) / (count - 1)
            for one, count in zip(seeds, (first, second), strict=True)
        ]
        rest, shared = residual * sum(seeds), example * sum(seeds)
        means = generator.normal(0, np.sqrt(sum(seeds) + shared), runs)
        pairs = zip(means, *drawn, strict=True)
        outside = [
            abs(mean) > two(first, second, one, other, shared + rest, rest).half_width(0.025)
            for mean, one, other in pairs
        ]
        assert np.mean(outside) <= 0.065 + noise, (spread, example, residual)


@settings(deadline=None)
@given(st.floats(0.5, 3.0))
def test_seeds_needed_are_those_of_statsmodels(effect: float) -> None:
    found = two(4, 4, 1 / 4, 1 / 4, 0.0, 0.0)  # a standard deviation of 1 between seeds
    expected = TTestIndPower().solve_power(effect_size=effect, alpha=0.05, power=0.8)
    seeds = found.seeds_for(effect, tail=0.025, power=0.8)
    assert seeds is not None
    assert abs(seeds - np.ceil(expected)) <= 1


def test_seeds_needed_take_the_examples_into_account() -> None:
    found = two(4, 4, 0.125, 0.125, 0.04, 0.0)
    without = two(4, 4, 0.125, 0.125, 0.0, 0.0).seeds_for(1.0, 0.025, 0.8)
    assert without is not None
    assert (found.seeds_for(1.0, 0.025, 0.8) or 0) > without
    assert found.seeds_for(0.5, 0.025, 0.8) is None  # (1.96 + 0.84) * 0.2 is more than the effect
    assert found.seeds_for(0.0, 0.025, 0.8) is None
    assert two(1, 4, 0.0, 0.125, 0.04, 0.0).seeds_for(1.0, 0.025, 0.8) is None
