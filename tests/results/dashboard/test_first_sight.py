"""What the page shows before anything is clicked: the front with its curves, differences, baselines, chance."""

from __future__ import annotations

import pytest

from embfact.results.dashboard.payload import payload
from embfact.results.dashboard.sweep import read_sweep
from embfact.results.result_table import DENSE
from embfact.results.statistics.table_statistics import table_statistics
from tests.results.dashboard.browser import ROWS, SELECTED
from tests.results.dashboard.made_up import write_medium

pytestmark = pytest.mark.slow
SCATTER, CURVES = "document.getElementById('scatter')", "document.getElementById('curves')"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return read_sweep([str(write_medium(tmp_path_factory.mktemp("medium")))])


@pytest.mark.parametrize(("name", "most"), [("small", 2), ("medium", 10), ("large", 10)])
def test_the_runs_of_the_front_are_selected_with_their_curves(open_page, name, most):
    shown = open_page(name)
    front = shown.run(f"return [...{SCATTER}.data[0].y]")
    assert sorted(y for _, y in shown.points(-1)) == pytest.approx(front)
    assert 2 <= len(front) == len(shown.texts(SELECTED)) <= most
    legend = shown.texts("#curves-legend li")
    assert len(legend) == len(front)
    assert any(text.strip().startswith("dense") for text in legend)
    lines = shown.run(f"return {CURVES}.data.filter((one) => one.mode === 'lines+markers').length")
    bands = shown.run(f"return {CURVES}.data.filter((one) => one.fill === 'tonexty').length")
    assert (lines, bands) == (len(front), 0 if name == "small" else len(front))
    assert len(shown.texts("#details h3")) == 1


def test_a_curve_is_the_mean_over_seeds_and_its_band_one_deviation(open_page):
    shown = open_page("medium")
    low, high, mean = shown.run(f"return {CURVES}.data.slice(0, 3).map((one) => [...one.y])")
    assert mean == pytest.approx([(a + b) / 2 for a, b in zip(low, high, strict=True)])
    # Made up: every seed has the same losses, and the shortest ends after 40 points.
    assert len(mean) == 40
    assert low == pytest.approx(high, abs=1e-3)


def test_the_front_follows_the_choices_until_the_reader_selects(open_page):
    shown = open_page("medium")
    menu = '#filters details[data-key="method"]'
    shown.click(f'{menu} input[value="weighted_svd"]')
    assert "weighted_svd" not in " ".join(shown.texts(SELECTED))
    assert len(shown.texts(SELECTED)) == len(shown.run(f"return {SCATTER}.data[0].y")) >= 2
    shown.click(ROWS, 0)
    shown.click(f'{menu} input[value="weighted_svd"]')
    assert len(shown.texts(SELECTED)) == 1
    shown.click("#front")
    assert len(shown.texts(SELECTED)) == 4


def test_the_sweep_gives_the_title(open_page):
    shown = open_page("medium")
    assert shown.texts("h1") == ["methods"]
    assert shown.browser.title.startswith("methods")


def test_a_row_has_its_difference_from_dense_with_interval_share_and_mark(open_page, sweep):
    statistics = table_statistics(sweep.table)
    shown = open_page("medium")
    cells = list(
        zip(
            *(shown.column(head) for head in ("method", "rank", "accuracy", "accuracy - dense", "% of dense")),
            strict=True,
        )
    )
    marks = []
    for (place, column), found in statistics.comparisons.items():
        row = sweep.table.rows[place]
        (cell,) = [cell for cell in cells if cell[:2] == (row.method, str(row.ranks[0]))]
        points = [f"{100 * value:+.2f}" for value in (found.difference, found.low, found.high)]
        assert cell[3] == f"{points[0]} [{points[1]}, {points[2]}]"
        dense = next(other for other in sweep.table.rows if other.method == DENSE)
        assert float(cell[4]) == pytest.approx(100 * row.spread(column).mean / dense.spread(column).mean, abs=0.06)
        tested = statistics.adjusted[place, column]
        marks.append(tested is not None and tested < 0.05)
        assert ("†" in cell[2]) == marks[-1]
    assert len(marks) == 9
    assert True in marks
    assert "Holm" in shown.texts("#table-notes")[0]


def test_the_best_is_bold(open_page):
    shown = open_page("medium")
    means = [
        float(text.split()[0])
        for text, method in zip(*map(shown.column, ("accuracy", "method")), strict=True)
        if method != "none"
    ]
    assert [float(text.split()[0]) for text in shown.texts(f"{ROWS} b")] == [max(means)]


def test_a_filter_that_leaves_some_seeds_out_shows_no_difference_of_all(open_page):
    shown = open_page("medium")
    assert any(shown.column("accuracy - dense"))
    shown.click('#filters details[data-key="seed"] input[value="2"]')
    assert "accuracy - dense" not in shown.texts("#table thead th")


def test_who_is_at_chance_is_marked_in_plot_and_table(open_page):
    shown = open_page("medium")
    chance = {
        method for method, text in zip(*map(shown.column, ("method", "accuracy")), strict=True) if "(chance)" in text
    }
    assert chance == {"random"}
    assert "random" not in " ".join(shown.texts(SELECTED)), "it is not on the front, although it is the smallest"
    symbols = shown.run(f"return {SCATTER}.data.flatMap((one) => one.marker?.symbol ?? []).filter(Boolean)")
    assert {symbol for symbol in symbols if symbol.endswith("-open")} == {"triangle-down-open"}
    assert "majority class" in shown.texts("#scatter-notes")[0]


def test_the_lines_of_the_baselines_are_drawn_and_named(open_page):
    shown = open_page("medium")
    heights = shown.run(f"return {SCATTER}.layout.shapes.map((one) => one.y0)")
    assert {50, 70} <= {round(height, 6) for height in heights}
    names = shown.run(f"return {SCATTER}.layout.annotations.map((one) => one.text)")
    assert {"the majority class 50.0", "a bag of tokens 70.0"} <= set(names)


def test_points_of_equal_size_say_their_rank_and_ranks_of_a_method_are_joined(open_page):
    shown = open_page("medium")
    names = shown.run(
        f"return {SCATTER}.layout.annotations.filter((one) => one.yref === 'paper').map((one) => one.text)"
    )
    assert names == ["rank 8", "16", "64", "128"]
    traces = shown.run(f"return {SCATTER}.data.map((one) => [one.mode, one.x.filter((x) => x !== null).length])")
    assert sorted(traces[1:-1]) == [["lines+markers", 1], *[["lines+markers", 3]] * 3]


def test_error_bars_of_equal_sizes_do_not_cover_each_other(open_page):
    shown = open_page("medium")
    places = [x for x, _ in shown.points()]
    assert len(set(places)) == len(places) == 10


@pytest.mark.parametrize("name", ["small", "medium", "large"])
def test_the_size_axis_has_ticks_at_both_ends_of_the_data(open_page, name):
    shown = open_page(name)
    sizes = shown.run(
        "return JSON.parse(document.getElementById('data').textContent).runs"
        ".filter((one) => one.sizes).map((one) => one.sizes[0])"
    )
    ticks = shown.run(f"return {SCATTER}.layout.xaxis.tickvals")
    assert {min(sizes), max(sizes)} <= set(ticks)
    low, high = shown.run(f"return {SCATTER}._fullLayout.xaxis.range")
    assert 10**low < min(sizes) < max(sizes) < 10**high


def test_points_of_a_budget_say_their_own_rank(open_page):
    shown = open_page("budget")
    texts = shown.run(f"return {SCATTER}.data.slice(1, -1).flatMap((one) => one.texttemplate).filter(Boolean)")
    assert sorted(texts, key=int) == ["60", "64"]
    small = sorted(x for x, _ in shown.points())[:2]
    assert small[1] / small[0] > 1.02
    assert "side by side" in shown.texts("#scatter-notes")[0]


def test_statistics_given_are_those_shown(sweep):
    given = table_statistics(sweep.table)
    assert payload(sweep, given)["compared"] == payload(sweep)["compared"]
