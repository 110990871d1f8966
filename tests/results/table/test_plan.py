"""Which rows and figures meet in a cell, and what is refused."""

from __future__ import annotations

import pytest

from embfact.errors import ConfigError
from embfact.results.collect import Collected
from embfact.results.result_table import build_table
from embfact.results.table.cells import UNDEFINED
from embfact.results.table.fill import fill
from embfact.results.table.plan import plan
from embfact.results.table.request import TableRequest


def accuracy(value, split="validation", metric="accuracy"):
    return {"metrics": {split: {metric: value}}}


@pytest.fixture
def sweep(make):
    """Dense, and two methods of two ranks, on two data sets with a metric each."""
    runs = []
    for data, metric in (("cola", "matthews"), ("sst2", "accuracy")):
        runs.append(make("none", None, data=data, **accuracy(0.9, metric=metric)))
        for place, method in enumerate(("svd", "weighted_svd")):
            for rank in (32, 128):
                value = 0.5 + rank / 1000 + place / 10 + (data == "cola") / 100
                runs.append(make(method, rank, data=data, **accuracy(value, metric=metric)))
    return build_table(Collected(tuple(runs)))


def shown(table, **request):
    """The printed words: heading, then lines."""
    request = TableRequest(bold="none", **request)
    grid = fill(table, plan(table, request), request)
    return [heading.text for heading in grid.headings], [[cell.main for cell in line] for line in grid.lines]


def refused(table, **request):
    with pytest.raises(ConfigError) as told:
        plan(table, TableRequest(**request))
    return str(told.value)


def test_methods_and_ranks_by_data_set(sweep):
    header, lines = shown(sweep, rows=("method", "rank"), columns=("dataset",))
    assert header == ["method", "rank", "cola", "sst2"]
    assert lines == [
        ["none", UNDEFINED, "90.0", "90.0"],
        ["svd", "32", "54.2", "53.2"],
        ["svd", "128", "63.8", "62.8"],
        ["weighted_svd", "32", "64.2", "63.2"],
        ["weighted_svd", "128", "73.8", "72.8"],
    ]


def test_dense_stands_beside_every_rank(sweep):
    header, lines = shown(sweep, rows=("method",), columns=("rank",), metrics=("accuracy",))
    assert header == ["method", "r=32", "r=128"]
    assert lines == [["none", "90.0", "90.0"], ["svd", "53.2", "62.8"], ["weighted_svd", "63.2", "72.8"]]
    header, lines = shown(sweep, rows=("rank",), columns=("method",), metrics=("accuracy",))
    assert header == ["rank", "none", "svd", "weighted_svd"]
    assert lines == [["32", "90.0", "53.2", "63.2"], ["128", "90.0", "62.8", "72.8"]]


def test_data_sets_can_be_lines(sweep):
    header, lines = shown(sweep, rows=("data", "metric"), columns=("method", "rank"))
    assert header == ["dataset", "metric", "none", "svd r=32", "svd r=128", "weighted_svd r=32", "weighted_svd r=128"]
    assert [line[:4] for line in lines] == [["cola", "matthews", "90.0", "54.2"], ["sst2", "accuracy", "90.0", "53.2"]]


def test_dense_has_a_name_where_methods_are_not_shown(make):
    table = build_table(Collected((make("none", None), make("svd", 64))))
    assert [line[0] for line in shown(table, rows=("rank",))[1]] == ["dense", "64"]


def test_sizes_of_embedding_and_model_are_columns(sweep):
    header, lines = shown(sweep, columns=("params", "bytes", "model_params", "model_bytes", "dataset"))
    assert header[2:6] == ["emb. params", "emb. bytes", "model params", "model bytes"]
    assert lines[1][2:6] == ["989k", "3.96MB", "12.0M", "47.9MB"]


@pytest.mark.parametrize(
    ("request_", "header"),
    [
        ({"rows": ("dataset", "method")}, ["dataset", "method", "accuracy"]),
        ({"rows": ("dataset", "metric", "split", "method")}, ["dataset", "metric", "split", "method", "figure"]),
        ({"columns": ("method", "rank")}, ["dataset", "none", "svd r=64"]),
        ({"columns": ("method", "dataset")}, ["rank", "none sst2", "svd sst2"]),
        ({"columns": ("params", "glue")}, ["method", "rank", "emb. params", "GLUE"]),
    ],
)
def test_the_other_side_has_its_usual_fields(make, request_, header):
    assert shown(build_table(Collected((make("none", None), make("svd", 64)))), **request_)[0] == header


def test_the_mean_over_glue_leaves_out_other_data(make):
    table = build_table(Collected((make("none", None, data="imdb"), make("none", None, data="sst2"))))
    assert shown(table, columns=("glue",))[1] == [["none", UNDEFINED, "90.0"]]


def test_what_was_not_run_is_a_dash(make):
    table = build_table(Collected((make("none", None), make("svd", 64), make("none", None, data="rte"))))
    assert shown(table, rows=("method",))[1] == [["none", "90.0", "90.0"], ["svd", UNDEFINED, "90.0"]]


def test_a_cell_of_two_storages_is_refused(make):
    table = build_table(Collected((make("svd", 64), make("svd", 64, storage="int8"))))
    words = refused(table, rows=("method", "rank"))
    assert "svd r=64, svd int8 r=64 would share a cell; add storage to --rows or --columns" in words
    assert shown(table, rows=("method", "storage"))[1] == [["svd", "float32", "90.0"], ["svd", "int8", "90.0"]]


def test_a_cell_of_two_settings_or_sizes_is_refused(make):
    low, high = ({"optimizer": {"lr": lr}} for lr in (2e-5, 5e-5))
    assert "add setting" in refused(build_table(Collected((make(options=low), make(options=high)))), rows=("method",))
    sizes = build_table(Collected((make("svd", 38), make("svd", 38, asked="b0.1"))))
    assert "add asked" in refused(sizes, rows=("method", "rank"))


def test_a_column_of_two_metrics_or_splits_is_refused(make):
    both = {"metrics": {"validation": {"accuracy": 0.9, "f1": 0.8}}}
    words = refused(build_table(Collected((make(data="mrpc", **both),))), columns=("dataset",))
    assert "mrpc accuracy on validation, mrpc f1 on validation would share a cell" in words
    assert "add metric to --rows or --columns, or choose one metric with --metric" in words
    # One row was scored on another split than the others: no cell mixes, but the column would.
    runs = (make("none", None), make("svd", 64, **accuracy(0.9, "test")))
    assert "add split" in refused(build_table(Collected(runs)), columns=("dataset",))


def test_sizes_beside_columns_of_ranks_are_refused(sweep):
    words = refused(sweep, rows=("method",), columns=("rank", "params"), metrics=("accuracy",))
    assert "emb. params would mix the rows of a line" in words


def test_all_faults_are_told_at_once(sweep):
    words = refused(sweep, rows=("methd", "seed", "bytes"), columns=("data", "dataset"), metrics=("acuracy",))
    for part in (
        "--rows does not take 'methd'; did you mean 'method'?",
        "--format json has the value of each seed",
        "sizes are columns: give it to --columns",
        "dataset is given more than once",
        "there is no metric 'acuracy'; did you mean 'accuracy'?",
    ):
        assert part in words


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"layout": "albert_table"}, "did you mean 'albert_table3'"),
        ({"layout": "albert_table3", "metrics": ("accuracy",)}, "a layout has its own columns"),
        ({"against": "svd-r31", "significance": True}, "did you mean 'svd-r32'"),
    ],
)
def test_names_that_are_not_there_are_refused(sweep, request_, words):
    assert words in refused(sweep, **request_)
