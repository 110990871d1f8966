"""Bold figures, signs of significance and intervals, against the statistics computed by hand."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from embfact.results.collect import Collected
from embfact.results.result_table import build_table
from embfact.results.statistics.table_statistics import holm
from embfact.results.table.render import render
from embfact.results.table.request import TableRequest
from tests.helpers.sweeps import Sweep, compared, interval_of, simulate

RANKS = (16, 64)


def scored(make, method, rank, *values):
    return [make(method, rank, s, metrics={"validation": {"accuracy": value}}) for s, value in enumerate(values)]


def bold(text):
    return re.findall(r"\*\*([\d.]+)\*\*", text)


def test_the_best_is_bold_and_so_is_what_looks_the_same(make):
    runs = [
        *scored(make, "none", None, 0.95),
        *scored(make, "svd", 64, 0.8301),
        *scored(make, "weighted_svd", 64, 0.8299),
        *scored(make, "random", 64, 0.7),
    ]
    table = build_table(Collected(tuple(runs)))
    assert bold(render(table, request=TableRequest(rows=("method",)))) == ["83.0", "83.0"]
    assert bold(render(table, request=TableRequest(rows=("dataset",), columns=("method",)))) == ["83.0", "83.0"]
    assert bold(render(table, request=TableRequest(rows=("method",), bold="none"))) == []
    assert bold(render(table)) == []
    assert bold(render(table, request=TableRequest(bold="best"))) == ["83.0", "83.0"]
    assert r"\bfseries 83.0" in render(table, "latex", TableRequest(rows=("method",)))
    assert "<b>83.0</b>" in render(table, "html", TableRequest(rows=("method",)))


def test_every_column_has_its_own_best_and_so_has_every_model(make):
    runs = [run for rank in RANKS for run in scored(make, "svd", rank, rank / 100)]
    runs += [run for rank in RANKS for run in scored(make, "random", rank, 0.5)]
    table = build_table(Collected(tuple(runs)))
    assert bold(render(table, request=TableRequest(rows=("method",), columns=("rank",)))) == ["50.0", "64.0"]
    other = [run.model_copy(update={"model": run.model.model_copy(update={"name": "bert"})}) for run in runs]
    both = build_table(Collected((*runs, *other)))
    text = render(both, request=TableRequest(rows=("model", "method", "rank")))
    assert bold(text) == ["64.0", "64.0"]


@pytest.fixture
def sweep(tmp_path):
    """A sweep with predictions: one method far below dense, one like it."""
    made = Sweep(tmp_path / "runs")
    generator = np.random.default_rng(5)
    found = {right: simulate(4, 150, generator, right=right, seed_sd=0.05) for right in (1.4, 0.2, 1.35)}
    made.add(found[1.4], method="none", rank=None)
    made.add(found[0.2], rank=16)
    made.add(found[1.35], rank=64)
    return made.table, list(found.values())


def test_significant_differences_are_signed_and_the_test_is_told(sweep):
    table, _ = sweep
    text = render(table, request=TableRequest(rows=("method", "rank"), significance=True))
    dense, low, high = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert ["†" in line for line in (dense, low, high)] == [False, True, False]
    assert "p < 0.05 after Holm's correction for 2 comparisons" in text
    upside = render(table, request=TableRequest(rows=("method", "rank"), significance=True, against="svd-r16"))
    assert [r"\*" in line for line in upside.splitlines() if line.startswith("|")][2:] == [True, False, True]
    assert r"\textsuperscript{$\dagger$}" in render(table, "latex", TableRequest(significance=True))
    assert "<sup>†</sup>" in render(table, "html", TableRequest(significance=True))


def test_the_numbers_are_those_of_the_statistics(sweep):
    table, (dense, low, high) = sweep
    tests = [compared(one, dense, "accuracy") for one in (low, high)]
    lines = list(csv.DictReader(io.StringIO(render(table, "csv", TableRequest(significance=True)))))
    assert lines[0]["validation_accuracy_p"] == ""
    adjusted = holm([test.p_value for test in tests])
    for line, test, p_value in zip(lines[1:], tests, adjusted, strict=True):
        assert float(line["validation_accuracy_p_holm"]) == pytest.approx(p_value)
        assert float(line["validation_accuracy_difference"]) == pytest.approx(test.difference)
    content = json.loads(render(table, "json", TableRequest(significance=True, rows=("method", "rank"))))
    assert [row[-1].get("p_holm") for row in content["rows"]] == [None, *map(pytest.approx, adjusted)]
    ends = interval_of(high, "accuracy")
    assert [content["rows"][2][-1][end] for end in ("low", "high")] == pytest.approx(ends)
    words = f"[{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"
    assert words in render(table, request=TableRequest(stat="ci"))
    assert f"~{words}" in render(table, "latex", TableRequest(stat="ci"))


def test_what_cannot_be_computed_is_told(make):
    runs = (*scored(make, "none", None, 0.9, 0.9), *scored(make, "svd", 64, 0.8, 0.8))
    text = render(build_table(Collected(runs)), request=TableRequest(significance=True, stat="ci"))
    assert "Not computed: " in text
    assert "are not on this machine" in text
    assert "†" not in "".join(line for line in text.splitlines() if line.startswith("|"))


def test_a_task_that_tells_nothing_is_marked(tmp_path):
    made = Sweep(tmp_path / "runs")
    generator = np.random.default_rng(5)
    baselines = {"validation": {"majority": {"accuracy": 0.5}, "bag_of_tokens": {"accuracy": 0.99}}}
    made.add(simulate(3, 200, generator), method="none", rank=None, baselines=baselines)
    made.add(simulate(3, 200, generator), rank=16)
    text = render(made.table, request=TableRequest(significance=True))
    assert "- sst2 accuracy on validation is uninformative: " in text


def test_an_interval_without_width_is_explained(tmp_path):
    """Where every prediction is right, no resampling makes a difference."""
    sweep = Sweep(tmp_path)
    right = simulate(3, 40, np.random.default_rng(0), right=50.0)
    assert (right.predictions == right.labels).all()
    for method, rank in (("none", None), ("svd", 16), ("svd", 64)):
        sweep.add(right, method=method, rank=rank)
    for request in (TableRequest(significance=True), TableRequest(stat="ci")):
        text = render(sweep.table, request=request)
        (note,) = [line for line in text.splitlines() if "has no width" in line]
        assert "svd r=16, svd r=64 against none" in note
        assert "every prediction of both is right on these 40 examples" in note
    almost = Sweep(tmp_path / "almost")
    predictions = right.predictions.copy()
    predictions[0, 0] = 1 - predictions[0, 0]
    almost.add(right, method="none", rank=None)
    almost.add(replace(right, predictions=predictions), method="svd", rank=16)
    assert "has no width" not in render(almost.table, request=TableRequest(significance=True))
