"""The test of methods: false positives on real and simulated seeds, what it finds, and what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from embfact.results.statistics.compare import compare, interval
from embfact.results.statistics.outcomes import Outcomes, StatisticsError
from embfact.results.statistics.resampling import Replicates, replicates
from tests.helpers.sweeps import compared, interval_of, simulate


def part(whole: Replicates, runs: np.ndarray) -> Replicates:
    """Some runs of a method, as if they were seeds 0, 1, 2 and so on."""
    found = whole.outcomes
    again = replace(found, seeds=tuple(range(len(runs))), predictions=found.predictions[runs])
    return Replicates(again, whole.metric, whole.values[runs], whole.drawn[runs])


@pytest.mark.parametrize("method", ["svd", "none"])
@pytest.mark.parametrize("size", [3, 5, 10])
def test_random_splits_of_one_methods_real_seeds_differ_in_at_most_seven_percent(
    real_seeds: dict[str, Outcomes], method: str, size: int
) -> None:
    (whole,) = replicates([real_seeds[method]], "accuracy")
    generator = np.random.default_rng(size)
    rejected = []
    for _ in range(1000):
        order = generator.permutation(20)
        found = compare(part(whole, order[:size]), part(whole, order[size : 2 * size]), 0.95)
        assert found.p_value is not None
        rejected.append(found.p_value < 0.05)
    print(f"{method}, {size} against {size} seeds: {np.mean(rejected):.1%} rejected")
    assert np.mean(rejected) <= 0.07


@pytest.mark.parametrize("size", [3, 5, 10])
def test_a_real_difference_is_found_in_nearly_every_choice_of_seeds(real_seeds: dict[str, Outcomes], size: int) -> None:
    method, dense = replicates([real_seeds["svd"], real_seeds["none"]], "accuracy")
    generator = np.random.default_rng(size)
    found = []
    for _ in range(100):
        runs = generator.permutation(20)[:size]
        found.append((compare(part(method, runs), part(dense, runs), 0.95).p_value or 0) < 0.05)
    assert np.mean(found) >= 0.95


@pytest.mark.parametrize(("seeds", "seed_sd"), [(3, 0.0), (3, 0.2), (5, 0.05), (10, 0.1)])
def test_in_a_simulated_world_equal_methods_differ_in_at_most_seven_percent_and_intervals_cover(
    seeds: int, seed_sd: float
) -> None:
    generator, wrong, missed, worlds = np.random.default_rng(seeds), 0, 0, 400
    for _ in range(worlds):
        labels = np.zeros(150, dtype=int)
        hard, skill = generator.normal(1.2, 1.0, 150), generator.normal(0, seed_sd, (2, seeds, 1))
        own = generator.normal(0, 0.7, (2, 1, 150))  # examples suit one method or the other
        correct = hard + own + skill + generator.normal(0, 1.0, (2, seeds, 150)) > 0
        rows = [Outcomes(tuple(range(seeds)), np.arange(150), labels, (~one).astype(int)) for one in correct]
        first, second = replicates(rows, "accuracy", resamples=300)
        wrong += (compare(first, second, 0.95).p_value or 0) < 0.05
        low, high = interval(first, 0.95)
        # The probability of a normal variable with all these variances together.
        missed += not low < _right(np.sqrt(1 + 0.49 + seed_sd**2 + 1)) < high
    assert wrong / worlds <= 0.07
    assert 0.01 <= missed / worlds <= 0.08


def _right(sd: float) -> float:
    from scipy.stats import norm

    return float(norm.cdf(1.2 / sd))


def test_a_comparison_is_the_difference_of_the_means_over_all_seeds(real_seeds: dict[str, Outcomes]) -> None:
    method, dense = real_seeds["svd"].only((0, 1, 2)), real_seeds["none"].only((2, 3, 4, 5))
    found = compared(method, dense, "accuracy")
    right = [(row.predictions == row.labels).mean() for row in (method, dense)]
    assert found.difference == pytest.approx(right[0] - right[1])
    assert (found.low + found.high) / 2 == pytest.approx(found.difference)
    assert found.seeds == (3, 4)
    assert found.examples == len(method.ids)
    assert found.note == "over 3 against 4 seeds and the same 1,498 examples"
    assert found == compared(method, dense, "accuracy")  # the same draws each time
    narrow = compared(method, dense, "accuracy", level=0.8)
    assert narrow.high - narrow.low < found.high - found.low
    assert -found.difference < found.loss_bound < -found.low


def test_the_reverse_comparison_has_the_opposite_difference(real_seeds: dict[str, Outcomes]) -> None:
    there = compared(real_seeds["svd"], real_seeds["none"], "matthews")
    back = compared(real_seeds["none"], real_seeds["svd"], "matthews")
    assert (back.difference, back.p_value) == (pytest.approx(-there.difference), pytest.approx(there.p_value))


def test_a_single_seed_allows_no_test_and_is_labelled(real_seeds: dict[str, Outcomes]) -> None:
    found = compared(real_seeds["svd"].only((4,)), real_seeds["none"].only((4, 5)), "accuracy")
    assert found.p_value is None
    assert found.seeds == (1, 2)
    assert found.low < found.difference < found.high
    assert "one seed of the method: no test" in found.note
    assert "1,498 examples only" in found.note
    assert "one seed of both" in compared(*(row.only((4,)) for row in real_seeds.values()), "accuracy").note


def test_more_seeds_of_the_reference_make_it_surer(real_seeds: dict[str, Outcomes]) -> None:
    few, every = (compared(real_seeds["svd"].only((0, 1, 2)), dense, "accuracy") for dense in _choices(real_seeds))
    assert every.high - every.low < few.high - few.low


def _choices(real_seeds: dict[str, Outcomes]) -> tuple[Outcomes, Outcomes]:
    return real_seeds["none"].only((0, 1, 2)), real_seeds["none"]


def test_where_nothing_is_found_the_note_says_how_many_seeds_would_do(real_seeds: dict[str, Outcomes]) -> None:
    dense = real_seeds["none"]
    first, second = dense.only((2, 3, 8)), dense.only((0, 5, 10))
    found = compared(replace(first, seeds=(0, 1, 2)), replace(second, seeds=(0, 1, 2)), "accuracy")
    assert found.p_value is not None
    assert found.p_value > 0.05
    assert "would" in found.note
    same = compared(dense, dense, "accuracy")
    assert (same.difference, same.p_value) == (0.0, 1.0)
    assert "not even 1,000 seeds" in same.note


def test_other_examples_are_refused(real_seeds: dict[str, Outcomes]) -> None:
    dense = real_seeds["none"]
    with pytest.raises(StatisticsError, match="other examples or labels"):
        compared(dense, replace(dense, labels=1 - dense.labels), "accuracy")


def test_an_interval_of_several_seeds_holds_that_over_examples_alone() -> None:
    runs = simulate(4, 400, np.random.default_rng(0), seed_sd=0.3)
    (found,) = replicates([runs], "accuracy")
    low, high = interval_of(runs, "accuracy")
    alone = found.drawn.mean(axis=0).std(ddof=1) * 1.96
    assert high - found.mean >= alone
    assert interval_of(runs.only((0,)), "accuracy") == pytest.approx(
        found.values[0] + 1.96 * found.drawn[0].std(ddof=1) * np.array([-1, 1]), rel=1e-4
    )
    assert low == pytest.approx(2 * found.mean - high)
