"""Points of equal size are all seen, say their rank, and keep their error bars inside the panel."""

from itertools import pairwise

import numpy as np
import pytest

from embfact.results.collect import Collected
from embfact.results.plots.draw import draw
from embfact.results.plots.spec import PlotSpec
from embfact.results.result_table import build_table
from tests.helpers.pictures import covered


def _table(make, methods, ranks=(32, 64)):
    runs = [make("none", None, seed, metrics=_accuracy(0.8 + seed / 50)) for seed in range(2)]
    for method in methods:
        for rank in ranks:
            runs += [make(method, rank, seed, metrics=_accuracy(0.7 + rank / 1000 + seed / 5)) for seed in range(2)]
    return build_table(Collected(tuple(runs)))


def _accuracy(value):
    return {"validation": {"accuracy": value}}


@pytest.mark.parametrize("kind", ["pareto", "retention", "tasks"])
def test_equal_points_are_moved_apart_and_their_numbers_stay(make, kind):
    figure = draw(_table(make, ("svd", "random", "weighted_svd")), PlotSpec(kind))
    figure.draw_without_rendering()
    lines = [one.lines[0] for one in figure.axes[0].containers if len(one.lines[0].get_xdata()) > 1]
    assert len({tuple(line.get_xdata()) for line in lines}) == 1
    seen = sorted(float(line.get_transform().transform(line.get_xydata())[0][0]) for line in lines)
    assert all(2 < (b - a) * 72 / figure.dpi < 10 for a, b in pairwise(seen))
    assert "side by side" in figure._suptitle.get_text().replace("\n", " ")


def test_a_line_that_meets_no_other_stays_where_it_is(make):
    figure = draw(_table(make, ("svd",)), PlotSpec())
    (line,) = [one.lines[0] for one in figure.axes[0].containers if len(one.lines[0].get_xdata()) > 1]
    np.testing.assert_allclose(
        line.get_transform().transform(line.get_xydata()), figure.axes[0].transData.transform(line.get_xydata())
    )
    assert "side by side" not in figure._suptitle.get_text()


@pytest.mark.parametrize("kind", ["pareto", "retention", "tasks"])
def test_ranks_stand_above_the_points(make, kind):
    runs = [run for row in _table(make, ("svd", "random")).rows for run in row.runs]
    runs.append(make("hashed", 9, size_name="buckets", metrics=_accuracy(0.6)))
    figure = draw(build_table(Collected(tuple(runs))), PlotSpec(kind))
    (above,) = figure.axes[0].child_axes
    assert {text.get_text().strip() for text in above.get_xticklabels()} == {"r=32", "r=64", "9 buckets"}
    assert covered(figure) == []


def test_ranks_side_by_side_do_not_cover_each_other(make):
    figure = draw(_table(make, ("svd", "random"), range(60, 76, 3)), PlotSpec("tasks"))
    (above,) = figure.axes[0].child_axes
    assert len(above.get_xticklabels()) == 6
    assert covered(figure) == []


@pytest.mark.parametrize("kind", ["pareto", "retention", "tasks"])
def test_every_error_bar_is_inside_the_panel(make, kind):
    figure = draw(_table(make, ("svd", "random", "weighted_svd")), PlotSpec(kind))
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    for one in axes.containers:
        for end in (one.lines[0], *one.lines[1]):
            assert low < min(end.get_ydata())
            assert max(end.get_ydata()) < high
