"""Learning curves are means of the files that runs left."""

import json

import numpy as np
import pytest

from embfact.results.collect import find_records
from embfact.results.plots.curves import averaged, draw
from embfact.results.result_table import build_table
from embfact.runs.curve import read_curves
from tests.helpers.pictures import covered, write_run


def test_a_file_that_is_being_written_is_read_as_far_as_it_goes(tmp_path):
    run = write_run(tmp_path, ["0,10,0.5,,", "0,20,nan,,", "0,20,,0.75,0.4", "1,3"])
    curve = read_curves(run)
    assert {name: [list(part) for part in found] for name, found in curve.items()} == {
        "train/loss": [[10], [0.5]],
        "selection/accuracy": [[20], [0.75]],
        "selection/loss": [[20], [0.4]],
    }
    assert read_curves(tmp_path / "nowhere") == {}


def test_seeds_are_averaged_as_far_as_every_one_goes():
    first = np.array([10.0, 20, 30]), np.array([1.0, 2, 3])
    second = np.array([12.0, 22]), np.array([3.0, 4])
    steps, means, deviations, width = averaged([first, second])
    assert list(steps) == [11, 21]
    assert list(means) == [2, 3]
    assert deviations == pytest.approx([np.std([1, 3], ddof=1)] * 2)
    assert width == 1
    assert not averaged([first])[2].any()


def test_many_losses_become_few_points_and_none_is_lost():
    values = np.arange(90.0)
    steps, means, _, width = averaged([(10 * values, values)])
    assert (len(steps), width) == (18, 5)
    assert list(means) == [2 + 5 * part for part in range(18)]
    few = averaged([(values[:25], values[:25])])[1]
    assert list(few) == [1, *(3.5 + 2 * part for part in range(11))]


def test_a_line_for_each_row_and_a_panel_for_each_method_of_many(sweep):
    table = sweep(("svd",), (32, 64))
    figure = draw(table, table.data[0], "selection/accuracy")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["dense", "svd r=32", "svd r=64"]
    assert list(axes.lines[0].get_xdata()) == [20, 40]
    assert axes.lines[0].get_ydata() == pytest.approx([45.125, 90.25])
    assert len(axes.collections) == 3


def test_many_rows_have_a_panel_for_each_method(sweep):
    table = sweep(("random", "svd"), (16, 32, 64, 128))
    figure = draw(table, table.data[0], "train/loss")
    assert [axes.get_title("left") for axes in figure.axes] == ["random", "svd"]
    names = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert names == [["dense", "r=16", "r=32", "r=64", "r=128"]] * 2
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_runs_without_a_curve_are_counted_out(tmp_path):
    for seed in range(3):
        write_run(tmp_path, ["0,10,0.5,,", "0,20,0.4,,"], method="none", rank=None, seed=seed)
        write_run(tmp_path, ["0,10,0.6,,", "0,20,0.5,,"] if seed else None, seed=seed)
    table = build_table(find_records([tmp_path]))
    figure = draw(table, table.data[0], "train/loss")
    assert figure._supxlabel.get_text() == "sst2: 3 seeds each, but 2 of svd r=64"


def test_a_panel_shows_the_dense_runs_of_its_own_options_and_none_is_lost(tmp_path):
    rates = [{"optimizer": {"lr": rate}} for rate in (1e-5, 1e-4, 1e-3)]
    for rate in rates:
        for rank in (None, 16, 32, 64, 128) if rate != rates[2] else (None,):
            write_run(tmp_path, ["0,10,0.5,,", "0,20,0.4,,"], method="svd" if rank else "none", rank=rank, options=rate)
    table = build_table(find_records([tmp_path]))
    figure = draw(table, table.data[0], "train/loss")
    names = {axes.get_title("left"): [text.get_text() for text in axes.texts] for axes in figure.axes}
    ranks = ["r=16", "r=32", "r=64", "r=128"]
    assert names == {
        "svd (lr=0.0001)": ["dense (lr=0.0001)", *ranks],
        "svd (lr=1e-05)": ["dense (lr=1e-05)", *ranks],
        "dense (lr=0.001)": ["dense (lr=0.001)"],
    }
    assert covered(figure) == []


def test_a_run_with_one_value_is_told_in_words_beside_the_curves(tmp_path):
    write_run(tmp_path, ["0,10,0.5,,", "0,20,0.4,,"], method="none", rank=None)
    write_run(tmp_path, ["0,10,0.6,,"], rank=64)
    table = build_table(find_records([tmp_path]))
    figure = draw(table, table.data[0], "train/loss")
    assert [text.get_text() for text in figure.axes[0].texts] == ["dense"]
    assert "one value only, which is no curve: svd r=64" in figure._supxlabel.get_text()


def test_the_steps_of_the_ends_are_on_the_axis(sweep):
    table = sweep(("svd",), (64,))
    ticks = draw(table, table.data[0], "train/loss").axes[0].get_xticks()
    assert (ticks[0], ticks[-1]) == (10, 30)


def test_curves_of_accuracy_show_what_a_model_has_to_beat(tmp_path):
    run = write_run(tmp_path, ["0,10,,0.5,", "0,20,,0.6,"])
    record = json.loads((run / "record.json").read_text())
    record["baselines"] = {"validation": {"majority": {"accuracy": 0.509}, "bag_of_tokens": {"accuracy": 0.795}}}
    (run / "record.json").write_text(json.dumps(record))
    table = build_table(find_records([tmp_path]))
    words = [text.get_text() for text in draw(table, table.data[0], "selection/accuracy").axes[0].texts]
    shown = " ".join(words).replace("\n", " ")
    assert "the majority class on validation 50.9" in shown
    assert "a bag of tokens on validation 79.5" in shown


def test_long_names_are_not_cut_off(tmp_path):
    for number in range(8):
        options = {"optimizer": {"lr": 10.0**-number}, "trainer": {"epochs": number, "warmup": f"a word of {number}"}}
        write_run(tmp_path, ["0,10,0.5,,", "0,20,0.4,,"], method="projective_clustering", rank=64, options=options)
    table = build_table(find_records([tmp_path]))
    assert covered(draw(table, table.data[0], "train/loss")) == []
