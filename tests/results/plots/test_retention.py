"""What is left of dense is a share of its mean."""

from statistics import fmean, stdev

import pytest

from embfact.results.collect import Collected
from embfact.results.plots.retention import draw
from embfact.results.result_table import build_table


def _accuracy(value):
    return {"validation": {"accuracy": value}}


@pytest.fixture
def runs(make):
    dense = [make("none", None, seed, metrics=_accuracy(0.8 + seed / 10)) for seed in range(2)]
    small = [
        make("svd", rank, seed, metrics=_accuracy(rank / 200 + seed / 50)) for rank in (64, 128) for seed in (0, 1)
    ]
    return (*dense, *small)


def test_points_are_shares_of_the_mean_of_dense_at_their_ratio(runs):
    table = build_table(Collected(runs))
    axes = draw(table, table.columns[0]).axes[0]
    (line,) = axes.containers
    assert line.lines[0].get_xdata() == pytest.approx([384 * 30522 / (rank * 30906) for rank in (128, 64)])
    assert line.lines[0].get_ydata() == pytest.approx([100 * fmean([a, a + 0.02]) / 0.85 for a in (0.64, 0.32)])
    upper, lower = line.lines[1]
    assert (lower.get_ydata()[0] - upper.get_ydata()[0]) / 2 == pytest.approx(100 * stdev([0, 0.02]) / 0.85)


def test_the_axis_goes_by_halvings_and_ends_where_the_data_end(runs):
    table = build_table(Collected(runs))
    axes = draw(table, table.columns[0]).axes[0]
    ratio = max(run.size.dense.embedding.parameters / run.size.embedding.parameters for run in runs)
    assert list(axes.get_xticks()) == pytest.approx([1, 2, 4, ratio])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1x", "2x", "4x", "5.93x"]
    assert ratio < axes.get_xlim()[1] < 1.2 * ratio
    assert draw(table, table.columns[0], "model_params").axes[0].get_xlim()[1] < 3


def test_methods_without_a_dense_run_of_their_options_are_named(make, runs):
    options = [{"optimizer": {"lr": lr}} for lr in (1e-5, 3e-5)]
    more = (make("none", None, options=options[0]), make("random", 64, options=options[1]))
    table = build_table(Collected((*runs, *more)))
    figure = draw(table, table.columns[0])
    assert "left out, since no dense run has their options: random (lr=3e-05)" in figure._supxlabel.get_text()
    assert not any("random" in text.get_text() for text in figure.axes[0].texts)
