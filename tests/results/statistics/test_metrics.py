"""Weighted metrics are those of the records, for every resample at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from embfact.errors import UserError
from embfact.results.statistics.metrics import metric_of, plain_metric
from embfact.tasks.metrics import score

SKLEARN = {"accuracy": accuracy_score, "f1": f1_score, "matthews": matthews_corrcoef}
SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}


@st.composite
def classified(draw: st.DrawFn, most: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions and counts of a resample, with constants among them."""
    n, classes = draw(st.integers(1, 12)), draw(st.integers(2, most))
    numbers = st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)
    counts = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any))
    return np.array(draw(numbers)), np.array(draw(numbers)), np.array(counts)


@settings(max_examples=60, deadline=None)
@given(classified())
def test_two_classes_equal_the_records_metrics_of_repeated_examples(drawn: tuple[np.ndarray, ...]) -> None:
    labels, predictions, counts = drawn
    logits = np.eye(2)[np.repeat(predictions, counts)]
    expected = score(list(SKLEARN), logits, np.repeat(labels, counts))
    found = {name: metric_of(name)(labels, predictions, counts[None])[0] for name in SKLEARN}
    assert found == pytest.approx(expected, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(classified(most=4))
def test_matthews_of_any_number_of_classes_equals_scikit_learn(drawn: tuple[np.ndarray, ...]) -> None:
    labels, predictions, counts = drawn
    expected = matthews_corrcoef(np.repeat(labels, counts), np.repeat(predictions, counts))
    assert metric_of("matthews")(labels, predictions, counts[None])[0] == pytest.approx(expected, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(classified(most=5))
def test_correlations_equal_the_records_metrics_of_repeated_examples(drawn: tuple[np.ndarray, ...]) -> None:
    labels, predictions, counts = drawn
    targets, scores = labels / 2 + 1, predictions / 3 - 1
    expected = score(list(SCIPY), np.repeat(scores, counts)[:, None], np.repeat(targets, counts))
    for name, value in expected.items():
        found = metric_of(name)(targets, scores, counts[None])[0]
        assert found == pytest.approx(np.nan if value is None else value, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", ["accuracy", "f1", "matthews", "pearson", "spearman"])
def test_runs_and_resamples_are_computed_at_once(name: str) -> None:
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 2, 50)
    runs = generator.integers(0, 2, (4, 50))
    if name in SCIPY:
        labels, runs = labels + generator.normal(size=50), runs + labels + generator.normal(size=(4, 50))
    weights = generator.multinomial(50, [1 / 50] * 50, size=7)
    found = metric_of(name)(labels, runs, weights)
    assert found.shape == (4, 7)
    for run, values in zip(runs, found, strict=True):
        np.testing.assert_allclose(metric_of(name)(labels, run, weights), values)
        for counts, value in zip(weights, values, strict=True):
            pair = np.repeat(labels, counts), np.repeat(run, counts)
            expected = SCIPY[name](*pair).statistic if name in SCIPY else SKLEARN[name](*pair)
            assert value == pytest.approx(expected, abs=1e-9)


def test_degenerate_cases_are_those_of_the_records() -> None:
    ones, mixed = np.ones(4, dtype=int), np.array([0, 1, 1, 0])
    assert plain_metric("matthews", mixed, ones) == 0.0
    assert plain_metric("f1", 0 * ones, 0 * ones) == 0.0
    assert plain_metric("pearson", mixed, np.full(4, 0.1)) is None
    assert plain_metric("spearman", ones, np.arange(4.0)) is None


def test_large_values_that_differ_little_keep_their_correlation() -> None:
    labels = np.arange(10.0)
    assert plain_metric("pearson", labels, 1e8 + labels) == pytest.approx(1.0)


def test_an_unknown_metric_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'accuracy'"):
        metric_of("acuracy")
