"""A plan names each run once and says how long the rest will take."""

from __future__ import annotations

import pytest

from embfact.config.compose import read_request
from embfact.formatting.numbers import duration
from embfact.runs.planned import PlannedRun
from embfact.sweep.planner import make_plan, with_baselines
from tests.helpers.places import CONF


def planned_runs(*words: str, multirun: bool = True) -> list[PlannedRun]:
    common = ["model=bert_scratch", "data=vader", "output_dir=/nonexistent/runs"]
    configs = read_request(CONF, [*common, *words], multirun=multirun).configs
    return make_plan(with_baselines(configs) if multirun else configs)


def names(*words: str, multirun: bool = True) -> list[str]:
    plan = planned_runs(*words, multirun=multirun)
    return [run.title.rpartition("-")[0].removeprefix("vader-bert-scratch-") for run in plan]


def test_the_rank_of_a_method_without_one_makes_no_runs() -> None:
    assert names("factorization=none,svd", "rank=8,16") == ["none-s0", "svd-r8-s0", "svd-r16-s0"]
    assert names("factorization=none", "rank=8,16,32") == ["none-s0"]
    assert names("factorization=none", "rank=null") == ["none-s0"]


def test_each_seed_and_data_set_has_its_dense_run() -> None:
    assert names("seed=0,1", "rank=8") == ["none-s0", "none-s1", "svd-r8-s0", "svd-r8-s1"]
    assert len(names("data.train_size=50,100", "rank=8,16")) == 2 + 4


def test_a_dense_run_asked_for_is_not_added_again() -> None:
    assert names("factorization=none,random", "rank=8", "seed=0,1") == [
        "none-s0",
        "none-s1",
        "random-r8-s0",
        "random-r8-s1",
    ]


def test_options_of_a_method_are_not_taken_for_the_dense_run() -> None:
    assert names("factorization=weighted_svd", "factorization.smoothing=0,1", "rank=8") == [
        "none-s0",
        "weighted-svd-r8-s0",
        "weighted-svd-r8-s0",
    ]


def test_a_single_run_has_no_baseline() -> None:
    assert names("rank=8", multirun=False) == ["svd-r8-s0"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89, "89 s"), (100, "2 min"), (3600, "60 min"), (5400, "1 h 30 min"), (12000, "3 h 20 min")],
)
def test_times_are_told_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
