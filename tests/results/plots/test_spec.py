"""What a spec means, and the words for one that cannot be met."""

import pytest

from embfact.errors import UserError
from embfact.results.collect import Collected, find_records
from embfact.results.plots.spec import PlotSpec, choose
from embfact.results.result_table import build_table
from tests.helpers.pictures import write_run


def _told(table, spec):
    with pytest.raises(UserError) as caught:
        choose(table, spec)
    return str(caught.value).splitlines()


def _table(*runs):
    return build_table(Collected(runs))


def test_the_first_metric_of_the_only_data_set_is_drawn(make):
    metrics = {"validation": {"f1": 0.8, "accuracy": 0.9}}
    table = _table(make("none", None, metrics=metrics), make("svd", 64, metrics=metrics))
    assert [column.metric for column in choose(table, PlotSpec()).columns] == ["f1"]
    assert [column.metric for column in choose(table, PlotSpec(metric="accuracy")).columns] == ["accuracy"]
    assert [column.metric for column in choose(table, PlotSpec("tasks")).columns] == ["f1", "accuracy"]


def test_a_figure_that_is_undefined_everywhere_has_no_panel(make):
    metrics = {"validation": {"pearson": None, "accuracy": 0.9}}
    table = _table(make("svd", 64, metrics=metrics))
    assert [column.metric for column in choose(table, PlotSpec("tasks")).columns] == ["accuracy"]
    assert _told(table, PlotSpec(metric="pearson"))[0].startswith("no factorized run has this metric")


def test_a_sweep_of_failures_or_of_dense_runs_has_no_plot(make):
    assert _told(_table(make(error="no memory")), PlotSpec())[0].startswith("no finished runs found")
    for kind in ("pareto", "retention", "tasks"):
        (told,) = _told(_table(make("none", None)), PlotSpec(kind))
        assert told.startswith("no factorized run has accuracy on sst2; train one")


def test_backbones_are_never_drawn_as_one_line_and_other_faults_are_told_too(make):
    run = make("svd", 64)
    other = run.model_copy(update={"model": run.model.model_copy(update={"name": "other"}), "hash": "cd" * 32})
    first, second = _told(_table(run, other), PlotSpec(metric="acc"))
    assert first.startswith("runs of several backbones found (minilm, other)")
    assert second.startswith("no metric called acc")


def test_a_share_of_dense_needs_dense(make):
    (told,) = _told(_table(make("svd", 64)), PlotSpec("retention"))
    assert told.startswith("no dense run has accuracy on sst2 to compare with; train one")
    zero = {"validation": {"matthews": 0.0}}
    (told,) = _told(_table(make("none", None, metrics=zero), make("svd", 64, metrics=zero)), PlotSpec("retention"))
    assert "not above 0 (matthews on sst2)" in told


def test_names_that_are_not_there_get_the_nearest(make):
    table = _table(make("none", None), make("svd", 64))
    data, metric = _told(table, PlotSpec(data="sst", metric="acuracy"))
    assert data == "no finished runs on sst; did you mean 'sst2'?"
    assert metric == "no metric called acuracy; did you mean 'accuracy'?"


def test_curves_show_the_metric_or_the_loss_where_there_is_one_epoch(tmp_path, sweep):
    assert choose(sweep(("svd",), (64,)), PlotSpec("curves")).curve == "selection/accuracy"
    write_run(tmp_path / "once", ["0,10,0.5,,", "0,20,0.4,,", "0,20,,0.7,0.5"])
    table = build_table(find_records([tmp_path / "once"]))
    assert choose(table, PlotSpec("curves")).curve == "train/loss"
    assert choose(table, PlotSpec("curves", metric="loss")).curve == "train/loss"
    for name in ("selection/accuracy", "selection/loss"):
        (told,) = _told(table, PlotSpec("curves", metric=name))
        assert told.startswith(f"{name} has one value per run")
        assert "(train/loss)" in told
    (told,) = _told(table, PlotSpec("curves", metric="acuracy"))
    assert told.startswith("no curve called acuracy; ")


def test_curves_need_files_and_no_size(make):
    size, files = _told(_table(make("svd", 64)), PlotSpec("curves", against="bytes"))
    assert size.startswith("--against does not apply to learning curves")
    assert files.startswith("no learning curve found: none of these runs has its metrics.csv")
