"""A task is informative where the dense model clearly beats what knows next to nothing."""

from __future__ import annotations

import numpy as np
import pytest

from embfact.results.statistics.outcomes import Outcomes
from embfact.results.statistics.resampling import replicates
from embfact.results.statistics.table_statistics import informative


@pytest.fixture
def dense(real_seeds: dict[str, Outcomes]) -> Outcomes:
    return real_seeds["none"].only((0, 1, 2))  # 90 % right, by 1.5 points with 95 % confidence


@pytest.mark.parametrize(
    ("majority", "bag", "verdict", "words"),
    [
        (0.56, 0.75, True, "informative: with 95 % confidence dense is above"),
        (0.56, 0.897, False, "not clearly above a bag of tokens (89.7)"),
        (0.95, None, False, "not clearly above the majority class (95.0), a bag of tokens unknown"),
        (0.56, None, None, "unknown whether informative"),
        (None, None, None, "the majority class unknown"),
    ],
)
def test_the_bound_of_dense_must_be_above_both(
    dense: Outcomes, majority: float | None, bag: float | None, verdict: bool | None, words: str
) -> None:
    known = {"majority": majority, "bag_of_tokens": bag}
    found = informative(*replicates([dense], "accuracy"), {name: one for name, one in known.items() if one is not None})
    assert found.verdict is verdict
    assert words in found.note
    assert 0.85 < found.bound < 0.9


def test_a_constant_correlates_with_nothing() -> None:
    targets = np.linspace(0, 5, 60)
    noise = np.random.default_rng(0).normal(size=(3, 60))
    runs = Outcomes((0, 1, 2), np.arange(60), targets, targets + noise)
    assert informative(*replicates([runs], "pearson"), {"majority": 0.0, "bag_of_tokens": 0.1}).verdict is True


def test_one_seed_is_labelled(dense: Outcomes) -> None:
    assert "(over examples only: one seed)" in informative(*replicates([dense.only((0,))], "accuracy"), {}).note
