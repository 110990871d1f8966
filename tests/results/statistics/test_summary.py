"""Summaries over sizes and tasks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.results.statistics.summary import common_reach, curve_area, smallest_within, task_mean
from tests.helpers.sweeps import comparison


def test_the_area_is_the_trapezoid_over_log2_compression() -> None:
    points = [(2.0, 0.99), (8.0, 0.9), (64.0, 0.6)]
    by_hand = (1 * (1 + 0.99) / 2 + 2 * (0.99 + 0.9) / 2 + 3 * (0.9 + 0.6) / 2) / 6
    assert curve_area(points) == pytest.approx(by_hand)
    assert curve_area(points[::-1]) == pytest.approx(by_hand)


@settings(deadline=None)
@given(st.lists(st.floats(1, 60), max_size=6), st.floats(0.1, 1))
def test_a_method_that_keeps_a_constant_share_has_that_area(ratios: list[float], share: float) -> None:
    assert curve_area([(1, share), *((ratio, share) for ratio in ratios), (64, share)]) == pytest.approx(share)


def test_nothing_is_extrapolated() -> None:
    assert curve_area([(2, 0.99), (12, 0.9)]) is None
    assert curve_area([]) is None
    assert curve_area([(2, 0.99), (12, 0.9)], upto=8) is not None
    # What lies beyond only gives the height at the end; what is larger than dense does not count.
    beyond = curve_area([(0.9, 0.2), (32, 0.9), (128, 0.7)])
    assert beyond == pytest.approx(np.trapezoid([1, 0.9, 0.8], [0, 5, 6]) / 6)


def test_areas_compare_up_to_what_all_curves_reach() -> None:
    assert common_reach([[(2, 1.0), (12, 0.9)], [(40, 0.9)], []]) == 12
    assert common_reach([[(100, 0.5)]]) == 64


def test_the_smallest_size_by_the_bound_and_by_the_mean() -> None:
    sizes = [(32.0, comparison(-0.02)), (64.0, comparison(-0.007)), (128.0, comparison(-0.001, sd=0.002))]
    found = smallest_within(sizes, 0.008)
    assert (found.by_mean, found.by_bound) == (64.0, 128.0)
    none = smallest_within(sizes, 0.0)
    assert (none.by_mean, none.by_bound) == (None, None)


def test_one_seed_has_no_bound_over_seeds() -> None:
    found = smallest_within([(64.0, comparison(0.0, seeds=1, example=0.001))], 0.008)
    assert (found.by_mean, found.by_bound) == (64.0, None)


def test_the_mean_over_glue_is_over_tasks_and_labelled() -> None:
    found = task_mean({"mrpc": [0.8, 0.9], "sst2": [0.93], "imdb": [0.5], "cola": [None], "rte": []})
    assert found.mean == pytest.approx((0.85 + 0.93) / 2)
    assert found.tasks == ("sst2", "mrpc")
    assert found.label == "2 of 9"
    other = task_mean({"imdb": [0.5, 0.7], "sst2": [0.8]}, ("imdb", "vader"))
    assert (other.mean, other.label) == (pytest.approx(0.6), "1 of 2")
    assert (task_mean({}).mean, task_mean({}).label) == (None, "0 of 9")
