"""A sweep needs one study for all that decides a result, but for the seed and what is tuned."""

from __future__ import annotations

import sys

import pytest

from embfact.errors import ConfigError
from embfact.runs.identity import identify
from embfact.search.plan import check_search, rounded, studies_of, with_options


def names(configs):
    return [study.name for study in dict.fromkeys(studies_of(configs))]


def test_every_method_and_size_has_a_study_that_its_seeds_share(composed):
    configs = composed("factorization=svd,random", "rank=8,16", "seed=0,1,2")
    found = names(configs)
    assert {name.rsplit("-", 1)[0] for name in found} == {
        f"vader-bert-scratch-{method}-{size}" for method in ("svd", "random") for size in ("r8", "r16")
    }
    assert len(set(found)) == len(found) == 4


def test_the_dense_runs_of_a_sweep_share_one_study_of_their_own(composed):
    configs = composed("factorization=svd,random", "rank=8,16", "seed=0,1")
    (name,) = names([config.dense() for config in configs])
    assert name.startswith("vader-bert-scratch-none-")


@pytest.mark.parametrize(
    "word",
    [
        "storage=int8",
        "trainer.batch_size=8",
        "data.split_seed=1",
        "search.seed=1",
        "search.checks=2",
        "search.space.optimizer.lr.high=1e-2",
        "checkpoint=last",
        "optimizer.weight_decay=0.1",
    ],
)
def test_what_decides_a_trial_makes_another_study(composed, word):
    assert names(composed()) != names(composed(word))


@pytest.mark.parametrize(
    "word", ["seed=7", "optimizer.lr=3e-3", "search.trials=99", "trainer.threads=1", "tags=[a]", "logger=offline"]
)
def test_what_a_search_decides_itself_does_not(composed, word):
    assert names(composed()) == names(composed(word))


def test_a_dense_table_is_tuned_by_the_first_rate_alone_in_as_many_trials(composed):
    (small,) = composed()
    dense, study = studies_of([small.dense(), small])
    assert set(study.config.search.space) == {"optimizer.lr", "optimizer.embedding_lr"}
    assert set(dense.config.search.space) == {"optimizer.lr"}
    assert dense.trials == study.trials == 12
    # Given by name, and with a factor that decides nothing, it is the same study.
    assert names(composed("factorization=none", "optimizer.embedding_lr=3")) == [dense.name]
    assert names(composed("trainable=backbone")) != [study.name]


def test_what_has_no_effect_is_not_searched_for(composed):
    space = "search.space={optimizer.embedding_lr: {low: 0.3, high: 10.0, log: true}}"
    dense, svd = composed("factorization=none,svd", f"~{space.partition('=')[0]}", f"+{space}")
    assert studies_of([dense, svd])[0] is None
    assert studies_of([dense, svd])[1] is not None


def test_another_number_of_trials_is_asked_of_the_same_study_apart(composed):
    short, long = studies_of(composed("search.trials=2,4"))
    assert short.name == long.name
    assert short != long


def test_nothing_is_tuned_without_a_search(composed):
    assert studies_of(composed("search=none")) == [None]


def test_data_that_is_not_there_has_no_study(composed):
    assert studies_of(composed("data=sst2", "paths.data_dir=null")) == [None]


def test_a_trial_trains_alone_with_the_seed_of_the_search_and_keeps_nothing(composed):
    (study,) = studies_of(composed("seed=5", "search.seed=9", "logger=offline", "checkpoint_every=1"))
    trial = study.config
    assert (trial.seed, trial.logger.mode, trial.checkpoint_every, trial.resume) == (9, "none", None, False)
    assert (trial.trainer.devices, trial.trainer.strategy) == (1, "auto")


def test_a_tuned_run_is_the_run_with_these_options_typed(composed):
    (config,) = composed("+search.space.task.dropout={low: 0.0, high: 0.3}")
    tuned = with_options(config, {"optimizer.lr": 3e-3, "task.dropout": 0.25})
    (typed,) = composed("search=none", "optimizer.lr=3e-3", "task.dropout=0.25")
    assert identify(tuned).hash == identify(typed).hash != identify(config).hash
    assert tuned.search == config.search


def test_proposed_values_are_short_and_within_their_range():
    assert rounded(0.000123456, 1e-5, 1e-3) == 0.000123
    assert rounded(0.00099999, 1e-5, 0.0009996) == 0.0009996
    assert rounded(1.23451e-5, 1.2345e-5, 1e-3) == 1.2345e-5


def test_a_search_without_optuna_is_refused_with_the_command_that_installs_it(composed, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    check_search(composed("search=none"))
    with pytest.raises(ConfigError, match=r"search\.trials=12 needs optuna.*pip install 'embfact\[search\]'"):
        check_search(composed())


def test_a_search_without_held_out_rows_is_refused(composed):
    with pytest.raises(ConfigError, match="held-out slice, but there is none"):
        check_search(composed("data.selection_size=0", "checkpoint=last"))
    check_search(composed("data.selection_size=0", "checkpoint=last", "search=none"))
