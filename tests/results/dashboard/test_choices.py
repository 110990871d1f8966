"""What a reader can choose: colours, groups, columns, filters, smoothing, runs side by side; and a link to it."""

from __future__ import annotations

import csv
import io
import itertools

import pytest

from tests.results.dashboard.browser import ROWS, SELECTED

pytestmark = pytest.mark.slow
SCATTER, CURVES = "document.getElementById('scatter')", "document.getElementById('curves')"
RATE = "config.optimizer.embedding_lr"


def test_colours_are_of_any_key_of_the_configuration(open_page):
    shown = open_page("medium")
    shown.choose("#color", RATE)
    assert [text.strip() for text in shown.texts("#scatter-legend li")] == ["1.0", "3.0", "Pareto front"]
    colors = shown.run(f"return {SCATTER}.data.slice(1, -1).map((one) => one.marker.color)")
    assert len(set(colors)) == 2
    shown.choose("#color", "method")
    assert [text.strip() for text in shown.texts("#scatter-legend li")][:2] == ["dense", "random"]


def test_a_method_has_the_colour_that_it_has_in_every_picture(open_page):
    shown = open_page("medium")
    colors = shown.run(f"return {SCATTER}.data.slice(1, -1).map((one) => one.marker.color)")
    assert colors[1:] == ["#56B4E9", "#0072B2", "#D55E00"]  # random, svd, weighted_svd


@pytest.mark.parametrize("name", ["medium", "large"])
def test_rows_are_grouped_by_any_key(open_page, name):
    shown = open_page(name)
    shown.choose("#group", "method")
    heads = shown.texts("#table tr.group")
    assert heads == sorted(heads)
    methods = shown.column("method")
    assert methods == sorted(methods)
    if name == "medium":
        assert heads[2] == "method: svd (3 rows)"
        shown.choose("#group", RATE)
        assert shown.texts("#table tr.group") == [
            "optimizer.embedding_lr: 1.0 (7 rows)",
            "optimizer.embedding_lr: 3.0 (3 rows)",
        ]


def test_columns_are_picked(open_page):
    shown = open_page("medium")
    shown.click('#columns input[value="seconds"]')
    shown.click(f'#columns input[value="{RATE}"]')
    heads = shown.texts("#table thead th")
    assert "seconds" not in heads
    assert set(shown.column("optimizer.embedding_lr")) == {"1.0", "3.0"}


@pytest.mark.parametrize(
    ("words", "methods"),
    [("weighted", {"weighted_svd"}), ("svd embedding_lr=1.0", {"svd"}), ("no such run", set())],
)
def test_the_search_filters_by_words_of_names_and_options(open_page, words, methods):
    shown = open_page("medium")
    shown.type("#search", words)
    found = f"new Set([...document.querySelectorAll('{ROWS}')].map((one) => one.cells[0].innerText))"
    shown.wait(f"{found}.size === {len(methods)}")
    assert set(shown.column("method") if methods else []) == methods


def test_ranges_filter_rows_by_their_means(open_page):
    shown = open_page("medium")
    shown.choose('[data-range="figure 0"]', "75")
    means = [float(text.split()[0]) for text in shown.column("accuracy")]
    assert means
    assert min(means) >= 75
    assert set(shown.column("seeds")) == {"3"}
    shown.choose('[data-range="rank"]', "128")
    assert set(shown.column("rank")) == {"128"}
    shown.click("#clear-filters")
    assert len(shown.texts(ROWS)) == 10


@pytest.mark.parametrize("name", ["small", "medium", "large"])
def test_an_empty_filter_empties_the_page(open_page, name):
    shown = open_page(name)
    shown.click('#filters details[data-key="method"] .options p button', 1)
    shown.wait("document.getElementById('parallel').hidden")
    for part in ("scatter", "curves", "table", "parallel"):
        assert "No run matches the filters" in shown.texts(f"#{part}-empty")[0]
    for part in ("details", "importance", "failures"):
        assert "No run matches the filters" in shown.texts(f"#{part}")[0]
    drawn = f"#table th, {ROWS}, .plot, .legend li, #importance tr, #details tr"
    assert (
        shown.run(f"return [...document.querySelectorAll('{drawn}')].filter((one) => one.checkVisibility()).length")
        == 0
    )
    shown.click("#clear-filters")
    assert len(shown.texts(ROWS)) > 2
    assert shown.points(-1)


def test_smoothing_smooths(open_page):
    def changes():
        values = shown.run(f"return {CURVES}.data.find((one) => one.mode === 'lines+markers').y")
        return values[0], sum(abs(a - b) for a, b in itertools.pairwise(values))

    shown = open_page("noisy")
    (first, rough) = changes()
    shown.type("#smoothing", "0.9")
    start, smooth = changes()
    assert start == pytest.approx(first)
    assert smooth < rough / 3


def test_two_runs_stand_side_by_side_with_what_differs(open_page):
    shown = open_page("medium")
    shown.click(ROWS, 1)
    shown.click(ROWS, 2, keys="shift")
    facts = {line.split("\t")[0]: tuple(line.split("\t")[1:]) for line in shown.texts("#details .beside tbody tr")}
    assert facts["config.optimizer.embedding_lr"] == ("3.0", "1.0")
    assert facts["method.name"] == ("weighted_svd", "svd")
    assert "config.optimizer.lr" not in facts
    assert "seed" not in facts
    shown.choose("#beside", "")
    assert len(shown.texts("#details h3")) == 1


def test_a_link_shows_what_its_sender_saw(open_page):
    shown = open_page("medium")
    shown.choose("#color", RATE)
    shown.choose("#group", "method")
    shown.choose("#axis", "3")
    shown.click('#filters details[data-key="seed"] input[value="2"]')
    shown.click('#filters details[data-key="method"] input[value="random"]')
    shown.choose('[data-range="figure 0"]', "72.5")
    shown.click('#columns input[value="seconds"]')
    shown.click('#table th button[data-key="figure 0"]')
    shown.click(ROWS, 1)
    shown.click(ROWS, 2, keys="shift")

    def state():
        selects = "return [...document.querySelectorAll('select')].map((one) => one.value)"
        return (
            shown.run(selects),
            shown.texts("#table tr"),
            shown.texts(SELECTED),
            shown.texts("#details"),
            shown.points(-1),
        )

    before, address = state(), shown.run("return location.hash")
    assert len(before[2]) == 2
    shown = open_page("medium", address)
    assert state() == before
    assert len(address) < 500


def test_a_link_from_elsewhere_is_passed_over(open_page):
    shown = open_page(
        "small", "#data=no&metric=no&against=9&show=no&color=no&sort=no&selected=no,&shown=no&range.no=1~x&add=no"
    )
    assert len(shown.texts(ROWS)) == 3
    assert len(shown.points()) == 2


def test_the_choices_survive_new_data_of_a_live_sweep(open_page):
    shown = open_page("medium")
    shown.choose("#color", RATE)
    shown.click(ROWS, 1)
    shown.run("location.hash = location.hash + '&search=svd'")
    shown.wait(f"document.querySelectorAll('{ROWS}').length === 6")
    assert len(shown.texts(SELECTED)) == 1


def test_parallel_coordinates_show_options_size_and_figure(open_page):
    shown = open_page("medium")
    layout = "document.getElementById('parallel').layout"
    names = shown.run(f"return {layout}.annotations.filter((one) => one.y > 1).map((one) => one.hovertext)")
    assert names == [
        "method",
        "rank",
        "optimizer.embedding_lr",
        "factorization.center",
        "embedding parameters",
        "accuracy (%)",
    ]
    count = (
        "document.getElementById('parallel').data.reduce((sum, one) => sum + one.x.filter((x) => x === null).length, 0)"
    )
    assert shown.run(f"return {count}") == 10
    shown.click(ROWS, 1)
    shown.wait("document.getElementById('parallel').data.some((one) => one.line.width > 2)")


def test_the_importance_of_options_is_labelled_as_what_it_is(open_page):
    shown = open_page("medium")
    names = [text.split("\t")[0].strip() for text in shown.texts("#importance tr")]
    assert set(names) == {"method", "rank", "seed", "optimizer.embedding_lr"}
    assert names[0] == "method"
    assert "Permutation importance of a random forest, as W&B" in shown.texts("#importance-hint")[0]
    assert "Too few" in open_page("small").texts("#importance")[0]


def test_missing_values_are_empty_in_csv(open_page):
    shown = open_page("small")
    shown.run(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => {window.copied = text}}})"
    )
    shown.click("#copy-csv")
    rows = list(csv.DictReader(io.StringIO(shown.wait("window.copied"))))
    assert len(rows) == 3
    assert [row["rank"] for row in rows if row["method"] == "none"] == [""]
    assert not {"-", "\u2013"} & {value for row in rows for value in row.values()}


def test_all_data_sets_are_a_table_without_a_plot(open_page):
    shown = open_page("large")
    shown.choose("#dataset", "")
    shown.wait("document.getElementById('parallel').hidden")
    for part in ("scatter", "parallel"):
        assert "Choose a data set" in shown.texts(f"#{part}-empty")[0]
    assert "Choose a data set" in shown.texts("#importance")[0]
    assert len(shown.texts(ROWS)) == 100
