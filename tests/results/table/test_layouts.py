"""Tables in the columns of published ones."""

from __future__ import annotations

import pytest

from embfact.results.collect import Collected
from embfact.results.result_table import build_table
from embfact.results.table.cells import UNDEFINED
from embfact.results.table.fields import SIZE_FIELDS
from embfact.results.table.layouts import LAYOUTS, Task
from embfact.results.table.render import render
from embfact.results.table.request import TableRequest
from tests.helpers.places import CONF

ELSEWHERE = {"squad", "squad_v2", "race"}  # of ALBERT's table; embfact does not train them


@pytest.fixture
def glue(make):
    both = {"validation_matched": {"accuracy": 0.80}, "validation_mismatched": {"accuracy": 0.82}}
    runs = [make("svd", 64, seed, "mnli", metrics=both) for seed in range(2)]
    runs += [make("none", None, 0, "sst2", metrics={"validation": {"accuracy": 0.92}})]
    return [*runs, make("svd", 64, 0, "sst2", metrics={"validation": {"accuracy": 0.90}})]


def lines(runs, layout):
    text = render(build_table(Collected(tuple(runs))), request=TableRequest(layout=layout, bold="none"))
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"], text


def test_the_table_of_albert(glue):
    (header, _, dense, svd), text = lines(glue, "albert_table3")
    assert header == ["Method", "E", "Parameters", "SQuAD1.1", "SQuAD2.0", "MNLI-m", "SST-2", "RACE", "Avg"]
    assert dense[3:] == [UNDEFINED, UNDEFINED, UNDEFINED, "92.0", UNDEFINED, "92.0 (1 of 5)"]
    assert svd[:2] == ["svd", "64"]
    # 64 (30522 + 384) parameters and those of the encoder.
    assert svd[2].startswith("13.0M")
    assert svd[5] == "80.0 ± 0.0"
    assert svd[7:] == [UNDEFINED, "85.0 (2 of 5)"]
    assert "Columns as in Lan et al. (2020)" in text


def test_the_mean_over_glue_counts_a_data_set_once_and_says_of_how_many(glue):
    (header, _, dense, svd), _ = lines(glue, "bert_table1")
    assert header[2:] == ["MNLI-m", "MNLI-mm", "QQP", "QNLI", "SST-2", "CoLA", "STS-B", "MRPC", "RTE", "Average"]
    assert dense[-1] == "92.0 (1 of 9)"
    assert svd[-1] == "85.5 (2 of 9)"  # the mean of 90 and of 80 and 82


def test_a_data_set_of_two_versions_is_two_columns_and_in_no_mean(glue, make):
    other = make("svd", 64, 1, "sst2", fingerprint="f" * 64, metrics={"validation": {"accuracy": 0.5}})
    (header, _, _, svd), text = lines([*glue, other], "bert_table1")
    assert sum(heading.startswith("SST-2 (") for heading in header) == 2
    assert svd[-1] == "81.0 (1 of 9)"
    assert "sst2 has several versions of its data and is not part of any mean." in text


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_names_data_sets_and_sizes_that_there_are(name):
    layout = LAYOUTS[name]
    known = {path.stem for path in (CONF / "data").glob("*.yaml")} | ELSEWHERE
    for column in layout.columns:
        if isinstance(column, Task):
            assert column.dataset in known
        else:
            assert column in {*SIZE_FIELDS, "mean"}
            assert column in layout.headings
