"""Which runs may be compared: those of the dense run that a sweep would add, and no others, whatever option differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from embfact.config.run_config import RunConfig
from embfact.factorization.registry import methods
from embfact.results.collect import Collected
from embfact.results.comparable import OWN, group_of, seeds_of, terms
from embfact.results.result_table import Column, ResultTable, Row, build_table
from embfact.results.table.notes import sources, warnings
from embfact.runs.identity import science
from embfact.runs.record import RunRecord

METHODS = list(methods())
SIZED = [name for name, method in methods().items() if method.uses_rank]
LR = {"optimizer.lr": {"low": 1e-5, "high": 1e-3, "log": True}}
Make = Callable[..., RunRecord]


def group(config: RunConfig, data: str = "d", model: str = "m") -> str:
    return group_of(science(config, data, model), config.search.model_dump(mode="json"), model)


def tuned(run: RunRecord, lr: float, trials: int = 12) -> RunRecord:
    """A run whose learning rate a search chose."""
    search = {"trials": trials, "space": LR, "checks": 4, "startup": 4, "seed": 0}
    chosen = {"science": run.science | {"optimizer": {"lr": lr}}, "config": {**run.config, "search": search}}
    return run.model_copy(update=chosen | {"hash": f"{abs(hash((run.hash, lr, trials))):064x}"[-64:]})


def table_of(*runs: RunRecord) -> ResultTable:
    return build_table(Collected(tuple(runs)))


def dense_of(table: ResultTable, row: Row, column: Column | None = None) -> Row | None:
    """The dense row that a row is comparable with on a figure, if there is exactly one."""
    figure = column or table.columns[0]
    found = [other for other in table.rows if other.dense and other.comparable(row) and other.spread(figure).values]
    return found[0] if len(found) == 1 else None


class TestTheDenseRunOfASweep:
    @pytest.mark.parametrize("method", METHODS)
    def test_is_comparable_with_every_method(self, configured: Callable[..., RunConfig], method: str) -> None:
        config = configured(f"factorization={method}", "rank=2", "storage=int8", "quantization=aware")
        assert group(config) == group(config.dense())

    @pytest.mark.parametrize(
        "words",
        [
            ["budget=0.1"],
            ["energy=0.5"],
            ["storage=int4"],
            ["factorization.route=qr"],
            ["factorization=weighted_svd", "evidence.source=FILE"],
            ["factorization=fisher_svd", "evidence.rows=8", "evidence.warmup_steps=1"],
            ["trainable=projection"],
            ["trainable=factors"],
            ["trainable=backbone"],
            ["refactorize=every_epoch", "trainer.epochs=4", "refactorize.until=0.25"],
            ["search=lr", "search.trials=3"],
        ],
    )
    def test_is_comparable_whatever_options_the_method_has(
        self, configured: Callable[..., RunConfig], words: list[str], tmp_path: Path
    ) -> None:
        (tmp_path / "texts.txt").write_text("some text")
        words = [word.replace("FILE", f"'{tmp_path / 'texts.txt'}'") for word in words]
        config = configured("factorization=svd", *words)
        assert group(config) == group(config.dense())

    def test_has_no_option_that_a_dense_run_does_not_have(self, configured: Callable[..., RunConfig]) -> None:
        config = configured("factorization=svd", "storage=int8").dense()
        assert not terms(science(config, "d", "m"), {}, "m").own


@pytest.mark.parametrize(
    "words",
    [
        ["optimizer.lr=2e-4"],
        ["optimizer.weight_decay=0"],
        ["optimizer.betas=[0.9,0.98]"],
        ["optimizer.warmup_ratio=0"],
        ["trainer.epochs=2"],
        ["trainer.max_steps=7"],
        ["trainer.batch_size=16"],
        ["trainer.batching=rows"],
        ["trainer.accumulate=2"],
        ["trainer.gradient_clip=null"],
        ["trainer.precision=bf16-mixed"],
        ["trainer.patience=3"],
        ["task.dropout=0"],
        ["task.label_smoothing=0.1"],
        ["task.pooling=mean"],
        ["data.train_size=100"],
        ["data.max_length=16"],
        ["data.split_seed=1"],
        ["data.selection_size=0.2"],
        ["trainable=factors"],
        ["checkpoint=last"],
        ["search=lr", "search.trials=3"],
        ["search=lr", "search.trials=4"],
    ],
)
def test_any_other_option_makes_runs_incomparable(configured: Callable[..., RunConfig], words: list[str]) -> None:
    assert group(configured("factorization=svd", *words)) != group(configured("factorization=svd"))


def test_other_data_backbones_and_libraries_are_not_compared(configured: Callable[..., RunConfig]) -> None:
    config = configured("factorization=svd")
    ours = science(config, "d", "m")
    other = {**ours, "versions": {**ours["versions"], "torch": "99"}}
    assert len({group(config), group(config, data="e"), group(config, model="n"), group_of(other, {}, "m")}) == 4
    assert group_of({**ours, "results_version": 1}, {}, "m") != group_of(ours, {}, "m")


@pytest.mark.parametrize("name", sorted(OWN - {"method", "size", "storage", "storage_group", "quantization"}))
def test_what_is_the_methods_own_parts_no_method_from_dense(make: Make, name: str) -> None:
    """Also what no run has yet: a factor on the rate of what replaced the table, the scales of its groups."""
    section, _, option = name.partition(".")
    values = [{section: {option or "some": value}} for value in (1, 2)]
    plain: dict[str, Any] = {"optimizer": {"lr": 2e-5}, "trainer": {"epochs": 3}}
    own = [{key: {**plain.get(key, {}), **known} for key, known in one.items()} for one in values]
    table = table_of(make("none", None, options=plain), *(make("svd", 64, options=one) for one in own))
    dense, *methods = table.rows
    assert [row.setting for row in methods] == [f"{option or 'some'}=1", f"{option or 'some'}=2"]
    assert (dense.setting, [dense_of(table, row) for row in methods]) == ("", [dense, dense])


class TestTables:
    def test_a_dense_row_for_each_learning_rate_is_that_of_the_methods_of_this_rate(self, make: Make) -> None:
        rates = [{"optimizer": {"lr": rate}} for rate in (1e-5, 1e-4)]
        runs = [make(*which, options=rate) for rate in rates for which in (("none", None), ("svd", 64), ("svd", 32))]
        table = table_of(*runs, make("none", None, storage="int8", options=rates[1]))
        for row in table.rows:
            dense = dense_of(table, row)
            assert dense is not None
            assert (dense.label, dense.setting) == ("none", row.setting)
        assert warnings(table) == []

    def test_none_is_borrowed_and_it_is_said(self, make: Make) -> None:
        rates = [{"optimizer": {"lr": rate}} for rate in (1e-5, 1e-4)]
        table = table_of(make("none", None, options=rates[0]), make("svd", 64, options=rates[1]))
        assert dense_of(table, table.rows[1]) is None
        (warning,) = warnings(table)
        assert "svd r=64 (lr=0.0001)" in warning
        assert "factorization=none" in warning

    def test_nothing_is_said_where_no_dense_run_is_there_to_borrow(self, make: Make) -> None:
        rates = [{"optimizer": {"lr": rate}} for rate in (1e-5, 1e-4)]
        assert warnings(table_of(*(make("svd", 64, options=rate) for rate in rates))) == []

    def test_a_projection_trained_alone_is_compared_with_dense_trained_whole(self, make: Make) -> None:
        kinds = [("none", None, "all"), ("svd", 64, "projection"), ("svd", 64, "factors"), ("none", None, "factors")]
        table = table_of(*(make(method, rank, options={"trainable": kind}) for method, rank, kind in kinds))
        found = {row.setting: dense_of(table, row) for row in table.rows if not row.dense}
        assert {name: dense and dense.setting for name, dense in found.items()} == {
            "trainable=projection": "trainable=all",
            "trainable=factors": "trainable=factors",
        }

    def test_options_of_one_last_name_are_told_apart(self, make: Make) -> None:
        options = [{"optimizer": {"lr": lr}, "factorization": {"lr": own}} for lr, own in ((1e-4, 0.1), (2e-4, 0.2))]
        table = table_of(*(make("distilled", 64, options=one) for one in options))
        assert [row.setting for row in table.rows] == [
            "factorization.lr=0.1, optimizer.lr=0.0001",
            "factorization.lr=0.2, optimizer.lr=0.0002",
        ]


class TestTunedRuns:
    def test_rates_that_one_search_chose_for_each_method_are_no_difference(self, make: Make) -> None:
        rates = {("none", None): 1e-4, ("svd", 32): 3e-4, ("svd", 64): 2e-4}
        table = table_of(*(tuned(make(*which, seed), lr) for which, lr in rates.items() for seed in (0, 1)))
        dense, *methods = table.rows
        assert [(row.ranks, dense_of(table, row)) for row in methods] == [((32,), dense), ((64,), dense)]
        assert {row.options for row in table.rows} == {""}
        assert [row.setting for row in table.rows] == ["lr=0.0001", "lr=0.0003", "lr=0.0002"]
        assert warnings(table) == []

    def test_a_row_has_the_rates_that_were_found_on_each_data_set(self, make: Make) -> None:
        runs = [tuned(make("svd", 64, data=data), lr) for data, lr in (("rte", 1e-4), ("sst2", 4e-4))]
        dense = [tuned(make("none", None, data=data), 2e-4) for data in ("rte", "sst2")]
        table = table_of(*dense, *runs)
        assert [(row.method, row.setting) for row in table.rows] == [
            ("none", "lr=0.0002"),
            ("svd", "lr=0.0001 to 0.0004"),
        ]

    def test_searches_of_other_lengths_are_not_compared(self, make: Make) -> None:
        table = table_of(tuned(make("none", None), 1e-4), tuned(make("svd"), 3e-4, trials=20))
        assert dense_of(table, table.rows[1]) is None
        (warning,) = warnings(table)
        assert warning.startswith("Tuned differently")

    def test_tuned_and_untuned_runs_are_not_compared(self, make: Make) -> None:
        for runs in ((tuned(make("none", None), 1e-4), make("svd")), (make("none", None), tuned(make("svd"), 1e-4))):
            table = table_of(*runs)
            assert dense_of(table, table.rows[1]) is None

    def test_a_run_that_was_there_before_the_search_that_chose_its_options_belongs_to_it(self, make: Make) -> None:
        rate = {"optimizer": {"lr": 1e-4}}
        earlier = make("none", None, 0, options=rate)  # with the hash of the tuned run, which is not trained again
        table = table_of(earlier, tuned(make("none", None, 1), 1e-4), tuned(make("svd", 64), 3e-4))
        assert [(row.method, len(row.runs)) for row in table.rows] == [("none", 2), ("svd", 1)]
        assert dense_of(table, table.rows[1]) == table.rows[0]
        assert sources(table)[-1].startswith("optimizer.lr (1e-05 to 0.001) tuned on the held-out slice: 12 trials")

    def test_what_only_methods_have_may_be_tuned_for_them_alone(self, make: Make) -> None:
        def searched(run: RunRecord, space: dict[str, Any], **options: float) -> RunRecord:
            found = tuned(run, options["lr"])
            config = {**found.config, "search": {**found.config["search"], "space": space}}
            return found.model_copy(update={"config": config, "science": found.science | {"optimizer": options}})

        factor = {"optimizer.embedding_lr": {"low": 1.0, "high": 10.0, "log": True}}
        dense = searched(make("none", None), LR, lr=1e-4)
        svd = [searched(make("svd", rank), LR | factor, lr=3e-4, embedding_lr=rank / 10) for rank in (32, 64)]
        for first in (dense, searched(make("none", None), LR | factor, lr=1e-4, embedding_lr=7.0)):
            table = table_of(first, *svd)
            assert [dense_of(table, row) for row in table.rows] == [table.rows[0]] * 3
            assert [row.setting for row in table.rows] == [
                "lr=0.0001",
                "embedding_lr=3.2, lr=0.0003",
                "embedding_lr=6.4, lr=0.0003",
            ]
            assert warnings(table) == []
            told = [line.split(" tuned ")[0] for line in sources(table)[1:]]
            assert told == ["optimizer.lr (1e-05 to 0.001)", "optimizer.embedding_lr (1 to 10)"]

    def test_two_answers_on_the_same_data_are_never_averaged(self, make: Make) -> None:
        table = table_of(tuned(make("svd", 64, 0), 1e-4), tuned(make("svd", 64, 1), 3e-4))
        assert [(row.options, len(row.runs)) for row in table.rows] == [("lr=0.0001", 1), ("lr=0.0003", 1)]


def test_runs_are_compared_by_their_data_where_they_differ_in_how_much_of_it_they_saw(make: Make) -> None:
    few, all_of_it = (
        {"options": {"data": {"train_size": size}}, "rows": {"train": size or 8000, "validation": 872}}
        for size in (100, None)
    )
    table = table_of(make("none", None, **few), make("none", None, **all_of_it), make("svd", 64, **few))
    svd = table.rows[1]
    few_column, all_column = sorted(table.columns, key=lambda column: column.data.example.data.rows["train"])
    assert dense_of(table, svd, few_column) == table.rows[0]
    assert not svd.spread(all_column).values


def test_runs_whose_rows_follow_the_seed_are_repetitions(configured: Callable[..., RunConfig]) -> None:
    def repeated(*words: str) -> str:
        return seeds_of(science(configured("factorization=svd", *words), "d", "m"))

    followed = {
        repeated(f"seed={seed}", word)
        for seed in (0, 3)
        for word in ("data.split_seed=seed", "data.split_seed=${seed}")
    }
    assert len(followed) == 1
    assert repeated("seed=0", "data.split_seed=0") not in followed
    assert repeated("seed=3", "data.split_seed=3") != repeated("seed=0", "data.split_seed=0")


class TestDistilledRuns:
    """Rows of runs that learned from others; a dense run that did so is no baseline."""

    TASK: ClassVar = {"distill": "ab12cd34", "distill_weight": 0.5, "distill_embedding": 1.0}

    def test_are_compared_with_the_dense_run_and_told_apart(self, make: Make) -> None:
        other = {**self.TASK, "distill_weight": 0.9}
        runs = [make("svd", 64, options={"task": task}) for task in ({}, self.TASK, other)]
        for task in ({}, self.TASK):
            runs.append(make("none", None, options={"task": task}))
        table = table_of(*runs)
        dense, born, *methods = table.rows
        assert (dense.setting, born.setting) == ("", "distill=ab12cd34")
        assert [row.setting for row in methods] == [
            "",
            "distill=ab12cd34, distill_weight=0.5",
            "distill=ab12cd34, distill_weight=0.9",
        ]
        assert [dense_of(table, row) for row in methods] == [dense] * 3
        assert not born.comparable(dense)

    def test_show_how_they_learned_only_where_that_differs(self, make: Make) -> None:
        table = table_of(*(make("svd", 64, options={"task": task}) for task in ({}, self.TASK)))
        assert [row.setting for row in table.rows] == ["", "distill=ab12cd34"]

    def test_of_several_seeds_are_repetitions_whatever_the_weights_of_their_teachers(self, make: Make) -> None:
        options = [{"task": self.TASK, "teacher_fingerprint": digit * 64} for digit in "12"]
        runs = [make("svd", 64, seed=seed, options=one) for seed, one in enumerate(options)]
        assert len(table_of(*runs).rows) == 1
        assert len({seeds_of(run.science) for run in runs}) == 1

    def test_are_told_below_the_table(self, make: Make) -> None:
        learned = [
            make("svd", rank, options={"task": self.TASK}).model_copy(update={"teacher": "none-s0"})
            for rank in (32, 64)
        ]
        assert "Distilled from none-s0: all but dense." in sources(table_of(make("none", None), *learned))
        assert "Distilled from none-s0: svd r=32, svd r=64." in sources(table_of(make("albert", 8), *learned))
