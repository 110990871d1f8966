"""Dense runs of two kinds are two baselines in every view, and a method has that of its own kind, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embfact.cli.plot import main as plot
from embfact.cli.table import main as table
from embfact.report.write import findings
from embfact.results.dashboard.payload import payload
from embfact.results.dashboard.sweep import Sweep as DashboardSweep
from embfact.results.plots import pareto, retention
from embfact.results.result_table import ResultTable
from embfact.results.statistics.outcomes import Outcomes
from embfact.results.statistics.table_statistics import table_statistics
from embfact.results.table.cells import UNDEFINED
from embfact.results.table.render import render
from embfact.runs.record import write
from tests.helpers.sweeps import Sweep
from tests.report.test_findings import cells

DENSE = {"method": "none", "rank": None}
EXAMPLES = 500
# Two values each of what is no method's own; the dense runs of the case score 54.2 and 69.8.
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "lr": [{"optimizer": {"lr": lr}} for lr in (1e-5, 1e-4)],
    "epochs": [{"trainer": {"epochs": epochs}} for epochs in (1, 3)],
    "precision": [{"trainer": {"precision": precision}} for precision in ("32-true", "bf16-mixed")],
    "dropout": [{"task": {"dropout": dropout}} for dropout in (0.0, 0.1)],
    "pooling": [{"task": {"pooling": pooling}} for pooling in ("cls", "mean")],
    "trainable": [{"trainable": trainable} for trainable in ("all", "factors")],
    "versions": [{"versions": {"torch": version}} for version in ("2", "3")],
}
SCORES = {("none", 0): 0.542, ("none", 1): 0.698, ("svd", 0): 0.5, ("svd", 1): 0.65}


def scored(accuracy: float) -> Outcomes:
    """Runs of three seeds that are right in so many of the examples."""
    labels = np.arange(EXAMPLES) % 2
    right = np.arange(EXAMPLES) < round(accuracy * EXAMPLES)
    return Outcomes((0, 1, 2), np.arange(EXAMPLES), labels, np.tile(np.where(right, labels, 1 - labels), (3, 1)))


@pytest.fixture(params=OPTIONS)
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Sweep:
    """Dense and svd, each with both values of an option."""
    made = Sweep(tmp_path / "runs")
    for (method, kind), accuracy in SCORES.items():
        which = DENSE if method == "none" else {"method": method, "rank": 64}
        made.add(scored(accuracy), **which, options=OPTIONS[request.param][kind])
    return made


def test_each_method_is_held_against_the_dense_runs_of_its_kind_in_every_view(two: Sweep) -> None:
    table = two.table
    statistics = table_statistics(table)
    column = table.columns[0]
    found = {round(one.difference, 3) for one in statistics.comparisons.values()}
    assert found == {round(SCORES["svd", kind] - SCORES["none", kind], 3) for kind in (0, 1)}
    (axes,) = pareto.draw(table, column).axes
    heights = {round(float(line.get_ydata()[0]), 1) for line in axes.lines if list(line.get_xdata()) == [0, 1]}
    assert heights == {54.2, 69.8}
    named = [text.get_text().replace("\n", " ") for text in axes.texts if text.get_text().startswith("dense")]
    assert len(named) == len(set(named)) == 2
    (axes,) = retention.draw(table, column).axes
    kept = {round(float(line.lines[0].get_ydata()[0]), 3) for line in axes.containers}
    shares = {round(100 * SCORES["svd", kind] / SCORES["none", kind], 3) for kind in (0, 1)}
    assert kept == shares
    text = findings(table, statistics)
    methods = {row.setting for row in table.rows if not row.dense}
    assert {cells(text, f"svd ({setting})")[1] for setting in methods} != {UNDEFINED}
    groups = payload(DashboardSweep((), table, ()))["groups"]
    assert sorted(group["setting"] for group in groups if group["dense"]) == sorted(methods)


def write_lone(folder: Path) -> ResultTable:
    """Dense at one learning rate, and svd at another one."""
    made = Sweep(folder)
    made.add(scored(0.542), **DENSE, options=OPTIONS["lr"][0])
    made.add(scored(0.65), rank=64, options=OPTIONS["lr"][1])
    for record in made.records:
        write(record, made.places[record.hash])
    return made.table


def test_a_method_without_a_dense_run_of_its_kind_has_no_share_and_it_is_said(tmp_path: Path) -> None:
    table = write_lone(tmp_path)
    statistics = table_statistics(table)
    assert not statistics.comparisons
    text = findings(table, statistics)
    assert cells(text, "svd (lr=0.0001)")[1:] == [UNDEFINED] * 3
    assert any("svd r=64 (lr=0.0001)" in line for line in text[text.index("### Not compared") :])
    assert "no dense run has the options of svd r=64 (lr=0.0001)" in render(table)
    told = payload(DashboardSweep((), table, ()))["warnings"]
    assert any("svd r=64 (lr=0.0001)" in line for line in told)


def test_commands_say_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_lone(tmp_path / "runs")
    drawn = tmp_path / "sweep.svg"
    assert plot([str(tmp_path / "runs"), "--output", str(drawn)]) == 0
    assert "svd r=64 (lr=0.0001)" in capsys.readouterr().err
    assert plot([str(tmp_path / "runs"), "--kind", "retention", "--output", str(tmp_path / "kept.svg")]) == 2
    assert "factorization=none" in capsys.readouterr().err
    assert not (tmp_path / "kept.svg").exists()
    assert table([str(tmp_path / "runs"), "--significance"]) == 0
    out = capsys.readouterr().out
    assert "no finished reference row 'none'" in out
    assert "(lr=0.0001)" in out
