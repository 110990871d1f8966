"""Metrics equal scikit-learn's and scipy's, degenerate cases included."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn import metrics as sklearn_metrics

from embfact.errors import UserError
from embfact.tasks.metrics import check_metrics, score

# scikit-learn's, about the degenerate cases that these tests are for.
pytestmark = pytest.mark.filterwarnings("ignore:A single label was found")


def logits_of(predictions: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[predictions] * 3 - 1


def expected_classes(labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    return {
        "accuracy": sklearn_metrics.accuracy_score(labels, predictions),
        "f1": sklearn_metrics.f1_score(labels, predictions, zero_division=0),
        "matthews": sklearn_metrics.matthews_corrcoef(labels, predictions),
    }


def scipy_or_none(measure, predictions: np.ndarray, targets: np.ndarray) -> float | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = float(measure(predictions, targets)[0])
    return None if np.isnan(value) else value


# Few rows and few values, so that constants, one class only and ties are drawn often.
@given(st.integers(1, 12).flatmap(lambda n: st.tuples(*[arrays(np.int64, n, elements=st.integers(0, 1))] * 2)))
@settings(max_examples=150, deadline=None)
def test_two_classes_equal_scikit_learn(pair):
    labels, predictions = pair
    found = score(["accuracy", "f1", "matthews"], logits_of(predictions, 2), labels)
    assert found == pytest.approx(expected_classes(labels, predictions), abs=1e-6)


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(*[arrays(np.int64, n, elements=st.integers(0, 3))] * 2)))
@settings(max_examples=100, deadline=None)
def test_four_classes_equal_scikit_learn(pair):
    labels, predictions = pair
    expected = expected_classes(labels % 2, predictions % 2) | {
        "accuracy": sklearn_metrics.accuracy_score(labels, predictions),
        "matthews": sklearn_metrics.matthews_corrcoef(labels, predictions),
    }
    del expected["f1"]
    assert score(["accuracy", "matthews"], logits_of(predictions, 4), labels) == pytest.approx(expected, abs=1e-6)


@given(st.integers(2, 15).flatmap(lambda n: st.tuples(*[arrays(np.int64, n, elements=st.integers(-3, 3))] * 2)))
@settings(max_examples=150, deadline=None)
def test_correlations_with_ties_equal_scipy(pair):
    targets, predictions = (values / 4 for values in pair)
    found = score(["pearson", "spearman"], predictions[:, None], targets)
    for name, measure in [("pearson", stats.pearsonr), ("spearman", stats.spearmanr)]:
        expected = scipy_or_none(measure, predictions, targets)
        assert found[name] == (None if expected is None else pytest.approx(expected, abs=1e-9)), name


def test_large_inputs_keep_their_digits():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 40_000)
    predictions = np.where(rng.random(40_000) < 0.8, labels, 1 - labels)
    found = score(["accuracy", "f1", "matthews"], logits_of(predictions, 2), labels)
    assert found == pytest.approx(expected_classes(labels, predictions), abs=1e-6)

    # More than 65,536 equal values: their ranks sum to more than an int32 holds.
    targets = np.repeat([1.0, 2.0], 70_000)
    values = targets + rng.normal(size=140_000)
    expected = stats.spearmanr(values, targets)[0]
    assert score(["spearman"], values[:, None], targets)["spearman"] == pytest.approx(expected, abs=1e-9)


def test_a_collapsed_model_on_unbalanced_labels_has_a_matthews_of_zero():
    labels = np.array([1] * 721 + [0] * 322)  # as CoLA's validation split
    found = score(["accuracy", "matthews"], logits_of(np.ones(1043, dtype=int), 2), labels)
    assert found == {"accuracy": pytest.approx(721 / 1043), "matthews": 0.0}


def test_float32_regression_logits_far_from_zero():
    targets = np.linspace(0, 5, 200)
    predictions = (1000 + targets + np.sin(targets * 9)).astype(np.float32)
    expected = stats.pearsonr(predictions.astype(np.float64), targets)[0]
    assert score(["pearson"], predictions[:, None], targets)["pearson"] == pytest.approx(expected, abs=1e-9)


def test_one_row_has_no_correlation():
    assert score(["pearson", "spearman"], np.ones((1, 1)), np.ones(1)) == {"pearson": None, "spearman": None}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("classes", [1, 2])
def test_logits_that_are_not_finite_are_refused(bad, classes):
    logits = np.zeros((4, classes))
    logits[2, 0] = bad
    metric = "pearson" if classes == 1 else "accuracy"
    with pytest.raises(UserError, match=r"diverged: logits of 1 of 4 rows .*lower optimizer\.lr"):
        score([metric], logits, np.zeros(4, dtype=int))


@pytest.mark.parametrize(
    ("logits", "labels"), [(np.zeros((3, 2)), np.zeros(2)), (np.zeros(3), np.zeros(3)), (np.zeros((0, 2)), np.zeros(0))]
)
def test_shapes_that_do_not_fit_are_refused(logits, labels):
    with pytest.raises(ValueError, match="do not fit labels"):
        score(["accuracy"], logits, labels)


@pytest.mark.parametrize(
    ("metric", "outputs", "remedy"),
    [("f1", 3, "3 classes; use .*accuracy,matthews"), ("accuracy", 1, "pearson"), ("spearman", 2, "accuracy,f1")],
)
def test_a_metric_that_does_not_fit_is_refused_with_those_that_do(metric, outputs, remedy):
    with pytest.raises(UserError, match=remedy):
        check_metrics([metric], outputs)
