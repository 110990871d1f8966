"""The importance of options: what decides a figure comes first, and where nothing does, it is said."""

from __future__ import annotations

import random

import pytest

from embfact.results.dashboard.importance import FEWEST_RUNS, importances
from embfact.results.dashboard.payload import payload
from embfact.results.dashboard.sweep import read_sweep
from tests.helpers.records import make_values
from tests.results.dashboard.made_up import write_run


def swept(folder, accuracy, seeds=5):
    """Runs of three ranks at three learning rates; accuracy is a function of them and of chance."""
    draw = random.Random(0)
    for rank in (16, 64, 128):
        for rate in (1e-5, 1e-4, 1e-3):
            for seed in range(seeds):
                figures = {"validation": {"accuracy": accuracy(rank, rate, draw)}}
                write_run(folder, make_values("svd", rank, seed, metrics=figures, options={"optimizer": {"lr": rate}}))
    return read_sweep([str(folder)])


def test_the_option_that_decides_comes_first(tmp_path):
    sweep = swept(
        tmp_path, lambda rank, rate, draw: 0.7 + 1000 * min(rate, 1e-4) + rank / 10_000 + draw.gauss(0, 0.001)
    )
    (found,) = importances(sweep.table)
    assert (found["data"], found["split"], found["metric"], found["runs"]) == ("sst2", "validation", "accuracy", 45)
    names = [name for name, _, _ in found["options"]]
    assert (names[0], names[-1]) == ("optimizer.lr", "seed")
    means = {name: mean for name, mean, _ in found["options"]}
    assert means["optimizer.lr"] > 5 * means["rank"] > 5 * abs(means["seed"])
    assert found["score"] > 0.9
    assert payload(sweep)["importance"] == [found]


def test_where_no_option_decides_none_is_named(tmp_path):
    (found,) = importances(swept(tmp_path, lambda rank, rate, draw: draw.uniform(0.6, 0.8)).table)
    assert found["score"] <= 0
    assert found["options"] == []


@pytest.mark.parametrize("runs", [FEWEST_RUNS - 1, FEWEST_RUNS])
def test_a_few_runs_teach_nothing(tmp_path, runs):
    for seed in range(runs):
        rank = (16, 64)[seed % 2]
        write_run(
            tmp_path, make_values("svd", rank, seed, metrics={"validation": {"accuracy": rank / 100 + seed / 1000}})
        )
    assert len(importances(read_sweep([str(tmp_path)]).table)) == (runs >= FEWEST_RUNS)


def test_one_option_alone_is_not_compared(tmp_path):
    for rank in range(8, 8 + FEWEST_RUNS):
        write_run(tmp_path, make_values("svd", rank, metrics={"validation": {"accuracy": rank / 100}}))
    assert importances(read_sweep([str(tmp_path)]).table) == []
