"""Labels are put where they are wanted, but never onto each other."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from embfact.results.plots.names import spread

labels = st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 0.1)), min_size=1, max_size=9)


@given(labels)
def test_labels_keep_apart_and_inside(found):
    wanted, heights = map(list, zip(*found, strict=True))
    placed = sorted(zip(spread(wanted, heights), heights, strict=True))
    assert all(low + a / 2 <= high - b / 2 + 1e-9 for (low, a), (high, b) in pairwise(placed))
    assert placed[0][0] - placed[0][1] / 2 >= -1e-9
    assert placed[-1][0] + placed[-1][1] / 2 <= 1 + 1e-9


def test_labels_are_as_near_as_they_can_be():
    wanted, heights = [0.5, 0.52, 0.55, 0.9, 0.1], [0.1, 0.1, 0.2, 0.1, 0.1]
    order = sorted(range(5), key=wanted.__getitem__)
    rules = [
        {"type": "ineq", "fun": lambda y, a=a, b=b: y[b] - y[a] - (heights[a] + heights[b]) / 2}
        for a, b in pairwise(order)
    ]
    best = minimize(lambda y: sum((a - b) ** 2 for a, b in zip(y, wanted, strict=True)), wanted, constraints=rules)
    assert spread(wanted, heights) == pytest.approx(best.x, abs=1e-4)


def test_labels_apart_stay_where_they_are_and_none_is_nothing():
    assert spread([0.8, 0.2], [0.1, 0.1]) == pytest.approx([0.8, 0.2])
    assert spread([], []) == []


def test_too_many_labels_go_beyond_both_ends_alike():
    assert spread([0.5, 0.5], [1.0, 1.0]) == pytest.approx([0.0, 1.0])
