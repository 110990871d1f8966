"""A metric against size shows the numbers of the table, and its Pareto front."""

from statistics import fmean, stdev

import pytest

from embfact.results.collect import Collected
from embfact.results.plots.draw import draw as draw_any
from embfact.results.plots.pareto import draw
from embfact.results.plots.spec import PlotSpec
from embfact.results.result_table import build_table
from tests.helpers.pictures import covered


@pytest.fixture
def table(make):
    def accuracy(value):
        return {"validation": {"accuracy": value}}

    runs = [make("none", None, seed, metrics=accuracy(0.85 + seed / 100)) for seed in range(3)]
    for method, start in (("svd", 0.6), ("random", 0.5)):
        runs += [
            make(method, rank, seed, metrics=accuracy(start + rank / 1000 + seed / 100))
            for rank in (32, 64, 128)
            for seed in range(3)
        ]
    return build_table(Collected(tuple(runs)))


def test_lines_hold_means_and_deviations_of_the_seeds(table):
    axes = draw(table, table.columns[0]).axes[0]
    assert len(axes.containers) == 3
    found = sorted(tuple(round(y, 6) for y in one.lines[0].get_ydata()) for one in axes.containers[1:])
    expected = sorted(
        tuple(round(100 * fmean(start + rank / 1000 + seed / 100 for seed in range(3)), 6) for rank in (32, 64, 128))
        for start in (0.6, 0.5)
    )
    assert found == expected
    assert list(axes.containers[1].lines[0].get_xdata()) == [rank * (30522 + 384) for rank in (32, 64, 128)]
    upper, lower = axes.containers[1].lines[1]
    spread = abs(upper.get_ydata()[0] - lower.get_ydata()[0]) / 2
    assert spread == pytest.approx(100 * stdev([0, 0.01, 0.02]))
    assert list(axes.containers[0].lines[0].get_xdata()) == [30522 * 384]


@pytest.mark.parametrize(
    ("against", "sizes"),
    [
        ("params", [64 * 30906, 30522 * 384]),
        ("bytes", [4 * 64 * 30906, 4 * 30522 * 384]),
        ("model_params", [64 * 30906 + 10_990_000, 30522 * 384 + 10_990_000]),
        ("model_bytes", [4 * (64 * 30906 + 10_990_000), 4 * (30522 * 384 + 10_990_000)]),
    ],
)
def test_sizes_are_those_of_the_records(make, against, sizes):
    table = build_table(Collected((make("none", None), make("svd", 64))))
    axes = draw(table, table.columns[0], against).axes[0]
    assert sorted(float(one.lines[0].get_xdata()[0]) for one in axes.containers) == sizes
    assert ("bytes" in axes.get_xlabel(), "model" in axes.get_xlabel()) == ("bytes" in against, "model" in against)


def test_the_heading_and_a_note_tell_unequal_seeds(make, table):
    assert draw(table, table.columns[0])._supxlabel is None
    runs = [
        run for row in table.rows for run in row.runs if (run.method.name, run.method.rank, run.seed)[1:] != (64, 2)
    ]
    runs += [make("svd", 256, seed, error="out of memory") for seed in range(3)]
    uneven = build_table(Collected(tuple(runs)))
    figure = draw(uneven, uneven.columns[0])
    words = "sst2: 3 seeds each, but 2 of random r=64, svd r=64; failed: 3 runs of svd r=256"
    assert figure._supxlabel.get_text() == words
    assert "over 2 to 3 seeds" in figure._suptitle.get_text()


def test_methods_and_dense_are_named_in_the_plot(table):
    words = [text.get_text() for text in draw(table, table.columns[0]).axes[0].texts]
    assert {"svd", "random"} <= set(words)
    assert any(word.startswith("dense 86.0") for word in words)


def test_many_lines_all_look_different(make):
    runs = [make(f"method_{number}", 64) for number in range(20)]
    table = build_table(Collected(tuple(runs)))
    lines = [one.lines[0] for one in draw(table, table.columns[0]).axes[0].containers]
    assert len({(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}) == 20


def test_words_never_cover_each_other_however_many_lines_end_together(make):
    equal = {"validation": {"accuracy": 0.8}}
    runs = [make(f"method_of_a_long_name_{number}", 64, storage="int8", metrics=equal) for number in range(40)]
    table = build_table(Collected((make("none", None, metrics=equal), *runs)))
    figure = draw(table, table.columns[0])
    assert len(figure.axes[0].texts) == 41
    assert covered(figure) == []


def test_baselines_and_rows_that_learned_nothing(make):
    known = {"validation": {"majority": {"accuracy": 0.509}, "bag_of_tokens": {"accuracy": 0.795}}}
    accuracies = {("none", None): 0.9, ("svd", 32): 0.509, ("svd", 64): 0.8}
    runs = [make(*key, metrics={"validation": {"accuracy": value}}) for key, value in accuracies.items()]
    runs = [run.model_copy(update={"baselines": known}) for run in runs]
    table = build_table(Collected(tuple(runs)))
    for kind in ("pareto", "retention", "tasks"):
        figure = draw_any(table, PlotSpec(kind))
        (axes,) = figure.axes
        shown = " ".join(text.get_text().replace("\n", " ") for text in axes.texts)
        assert "majority class" in shown
        assert "bag of tokens" in shown
        hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
        assert [len(line.get_xdata()) for line in hollow] == [1]
        assert "hollow" in figure._suptitle.get_text()
