"""What stands under a table of tuned runs: how they were tuned, and whether all were tuned alike."""

from __future__ import annotations

from embfact.results.collect import Collected
from embfact.results.result_table import build_table
from embfact.results.table.notes import sources, warnings
from embfact.results.table.render import render

LR = {"optimizer.lr": {"low": 1e-5, "high": 1e-3, "log": True}}


def tuned(run, trials=12, space=LR):
    search = {"trials": trials, "space": space, "checks": 4, "startup": 4, "seed": 0}
    return run.model_copy(update={"config": {**run.config, "search": search}})


def table_of(*runs):
    return build_table(Collected(runs))


def test_a_table_says_what_was_tuned_on_what_with_how_many_trials(make):
    table = table_of(tuned(make("none", None)), tuned(make("svd")), tuned(make("svd", seed=1)))
    words = "optimizer.lr (1e-05 to 0.001) tuned on the held-out slice: 12 trials for each method and size."
    assert sources(table)[-1] == words
    assert f"- {words}" in render(table).splitlines()
    assert words in render(table, "latex")
    assert not any("Tuned" in line for line in warnings(table))


def test_several_tuned_options_are_all_named(make):
    table = table_of(tuned(make(), space={**LR, "task.dropout": {"low": 0.0, "high": 0.3, "log": False}}))
    assert sources(table)[-1].startswith("optimizer.lr (1e-05 to 0.001) and task.dropout (0 to 0.3) tuned on ")


def test_nothing_is_said_of_runs_that_were_not_tuned(make):
    table = table_of(make("none", None), tuned(make("svd"), trials=0, space={}))
    assert len(sources(table)) == 1
    assert warnings(table) == []


def test_rows_with_other_numbers_of_trials_are_not_to_be_compared(make):
    (warning,) = warnings(table_of(tuned(make("none", None)), tuned(make("random")), tuned(make("svd"), trials=20)))
    assert warning.startswith("Tuned differently")
    assert "12 trials for each method and size (none, random r=64)" in warning
    assert "20 trials for each method and size (svd r=64)" in warning


def test_a_method_that_was_tuned_beside_one_that_was_not_is_told(make):
    table = table_of(tuned(make("svd")), make("random"))
    (warning,) = warnings(table)
    assert "not tuned (random r=64)" in warning
    assert not any("tuned" in line for line in sources(table))


def test_other_ranges_are_another_budget(make):
    wide = {"optimizer.lr": {"low": 1e-6, "high": 1e-2, "log": True}}
    (warning,) = warnings(table_of(tuned(make("svd")), tuned(make("random"), space=wide)))
    assert "1e-06 to 0.01" in warning


def test_how_the_rows_were_drawn_is_told(make):
    def drawn(**data):
        run = make()
        config = {**run.config, "data": {**(run.config.get("data") or {}), **data}}
        return sources(table_of(run.model_copy(update={"config": config})))[0]

    assert "data.split_seed=3" in drawn(train_size=100, split_seed=3)
    assert "anew for each seed" in drawn(train_size=100, split_seed="seed")
    assert "draw" not in drawn(train_size=None, selection_size=0, split_seed=0)


def test_a_method_that_is_not_what_its_name_promises_says_so_once(make):
    run = make("fisher_svd")
    caveated = run.method.model_copy(update={"caveat": "not that of the paper"})
    runs = [one.model_copy(update={"method": caveated}) for one in (run, make("fisher_svd", seed=1))]
    table = table_of(*runs, make("svd"))
    assert render(table).count("fisher_svd: not that of the paper.") == 1
