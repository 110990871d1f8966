"""Holm's correction, against the definition."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embfact.results.statistics.table_statistics import holm


@settings(max_examples=10, deadline=None)  # each collects garbage inside statsmodels: slow
@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
def test_it_is_the_step_down_of_the_definition_and_none_does_not_count(p_values: list[float | None]) -> None:
    tested = sorted(value for value in p_values if value is not None)
    steps = [min(1.0, (len(tested) - place) * value) for place, value in enumerate(tested)]
    found = holm(p_values)
    for value, adjusted in zip(p_values, found, strict=True):
        if value is None:
            assert adjusted is None
        else:
            last = max(place for place, other in enumerate(tested) if other == value)
            assert adjusted == pytest.approx(max(steps[: last + 1]))
