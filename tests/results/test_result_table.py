"""What is averaged, what is kept apart, and what is said under the table."""

from __future__ import annotations

from statistics import fmean, stdev

import pytest

from embfact.embeddings.layout import Storage
from embfact.results.collect import Collected
from embfact.results.result_table import build_table
from embfact.results.table.notes import sources, warnings
from embfact.results.table.render import render


def table_of(*records, problems=()):
    return build_table(Collected(tuple(records), tuple(problems)))


def accuracy(value):
    return {"validation": {"accuracy": value}}


def spreads(table):
    return {(row.method, row.ranks[0] if row.ranks else None): row.spread(table.columns[0]) for row in table.rows}


def test_mean_and_sample_deviation_over_seeds(make):
    values = {0: 0.9, 1: 0.93, 2: 0.91}
    table = table_of(*(make(seed=seed, metrics=accuracy(value)) for seed, value in values.items()))
    (spread,) = spreads(table).values()
    assert spread.values == values
    assert spread.mean == pytest.approx(fmean(values.values()))
    assert spread.std == pytest.approx(stdev(values.values()))


def test_one_seed_has_no_deviation(make):
    (spread,) = spreads(table_of(make())).values()
    assert spread.std is None


def test_dense_comes_first_then_methods_by_name_and_ranks_by_size(make):
    runs = [make(method, rank) for method in ("weighted_svd", "svd", "albert") for rank in (128, 32, 64)]
    table = table_of(*runs, make("none", None))
    ranks = (32, 64, 128)
    expected = [("none", None), *((method, rank) for method in ("albert", "svd", "weighted_svd") for rank in ranks)]
    assert [(row.method, *(row.ranks or (None,))) for row in table.rows] == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fingerprint": "f" * 64}, "fingerprint=ffffffff"),
        ({"rows": {"train": 2000, "validation": 872}}, "rows train=2000"),
        ({"options": {"data": {"max_length": 64}}}, "max_length=64"),
    ],
)
def test_other_data_under_one_name_is_another_column(make, change, words):
    table = table_of(make(seed=0, metrics=accuracy(0.9)), make(seed=1, metrics=accuracy(0.5), **change))
    assert [data.label for data in table.data] == ["sst2 (a)", "sst2 (b)"]
    (row,) = table.rows
    assert sorted(row.spread(column).mean for column in table.columns) == [0.5, 0.9]
    assert sum(words in line and "Differs from other versions" in line for line in sources(table)) == 1


def test_other_options_are_another_row_and_say_which(make):
    low, high = ({"optimizer": {"lr": lr}} for lr in (2e-5, 5e-5))
    table = table_of(make(seed=0, options=low), make(seed=1, options=low), make(seed=0, options=high))
    assert [(row.setting, len(row.runs)) for row in table.rows] == [("lr=2e-05", 2), ("lr=5e-05", 1)]


def test_methods_trained_with_other_options_are_marked(make):
    short, long = ({"trainer": {"epochs": epochs}} for epochs in (1, 10))
    table = table_of(make("none", None, options=short), make("svd", options=long))
    assert [row.setting for row in table.rows] == ["epochs=1", "epochs=10"]


def test_the_dense_row_says_nothing_of_a_rate_that_it_has_not(make):
    three = {"optimizer": {"lr": 2e-5, "embedding_lr": 3.0}}
    table = table_of(make("none", None), make("svd", options=three))
    assert [row.setting for row in table.rows] == ["", ""]
    table = table_of(make("none", None), make("svd"), make("svd", options=three))
    assert [row.setting for row in table.rows] == ["", "", "embedding_lr=3.0"]


def test_options_that_only_one_method_has_are_no_difference(make):
    smoothed = {"factorization": {"smoothing": 1.0}}
    table = table_of(make("svd", options={"factorization": {"route": "qr"}}), make("weighted_svd", options=smoothed))
    assert [row.setting for row in table.rows] == ["", ""]


def test_what_a_method_needs_as_evidence_is_no_difference(make):
    counted = {"evidence": {"source": "training"}}
    table = table_of(make("svd", options={"evidence": None}), make("weighted_svd", options=counted))
    assert [row.setting for row in table.rows] == ["", ""]
    other = make("weighted_svd", options={"evidence": {"source": "texts.txt"}})
    rows = table_of(make("weighted_svd", options=counted), other).rows
    assert [row.setting for row in rows] == ["source=texts.txt", "source=training"]


def test_storages_are_rows_of_their_own_named_in_the_method(make):
    kept = ("int4", "float32", "int2", "int6", "int8", "int3", "float16")
    runs = [make("svd", rank, storage=storage) for storage in kept for rank in (64, 32)]
    aware = make("svd", 32, storage="int8", quantization="aware")
    table = table_of(*runs, aware, make("none", None, storage="int8"), make("none", None))
    assert [(row.label, row.ranks) for row in table.rows] == [
        ("none", ()),
        ("none int8", ()),
        *((label, (rank,)) for label in ("svd", "svd float16", "svd int8") for rank in (32, 64)),
        ("svd int8 QAT", (32,)),
        *((f"svd int{bits}", (rank,)) for bits in (6, 4, 3, 2) for rank in (32, 64)),
    ]
    assert {row.setting for row in table.rows} == {""}
    assert [row.label for row in table.rows if row.dense] == ["none"]


def test_groups_are_rows_of_their_own_and_runs_from_before_there_were_any_are_told_apart(make):
    """A run from before has no group in its record, and none in its size."""
    runs = [made(make, storage, group) for storage in ("int4", "int8") for group in (32, "row", 64, None, 128)]
    table = table_of(*runs)
    assert [(row.label, row.asked, row.setting) for row in table.rows] == [
        (f"svd {storage}{group}", "r64", "")
        for storage in ("int8", "int4")
        for group in ("", "-row", "-g128", "-g64", "-g32")
    ]


def made(make, storage, group):
    """The record of a run whose embedding is kept in groups."""
    run = make("svd", 64, storage=storage, options={} if group is None else {"storage_group": group})
    kept = str(Storage(storage, group))
    method = run.method.model_copy(update={"storage_group": group, "size": f"r64-{kept}"})
    return run.model_copy(update={"method": method})


def test_budgets_are_rows_by_the_size_that_came_out(make):
    budgets = {"b0.05": 19, "b0.1": 38, "b0.2": 76}
    runs = [make("svd", rank, seed, asked=asked) for asked, rank in reversed(budgets.items()) for seed in (0, 1)]
    table = table_of(make("none", None), *runs, make("svd", 38))
    assert [(row.asked, row.ranks, row.target, len(row.runs)) for row in table.rows] == [
        (None, (), "", 1),
        ("b0.05", (19,), "budget 0.05", 2),
        ("b0.1", (38,), "budget 0.1", 2),
        ("r38", (38,), "", 1),
        ("b0.2", (76,), "budget 0.2", 2),
    ]


def test_a_failed_run_of_a_budget_stays_in_the_row_of_its_budget(make):
    table = table_of(make("svd", 38, 0, asked="b0.1"), make("svd", None, 1, asked="b0.1", error="no"))
    (row,) = table.rows
    assert row.ranks == (38,)
    assert warnings(table)[0] == "sst2: seed 1 missing for svd budget 0.1."


def test_an_energy_that_takes_other_ranks_on_other_data_is_one_row(make):
    table = table_of(make("svd", 61, asked="e0.9"), make("svd", 57, data="rte", asked="e0.9"))
    (row,) = table.rows
    assert (row.ranks, row.target) == ((57, 61), "energy 0.9")


def test_a_record_without_the_size_that_was_asked_for_is_placed_by_its_rank(make):
    run = make("svd", 64)
    older = run.model_copy(
        update={"method": run.method.model_copy(update={"size": None}), "seed": 1, "hash": "cd" * 32}
    )
    (row,) = table_of(run, older).rows
    assert sorted(one.seed for one in row.runs) == [0, 1]


def test_options_may_differ_between_data_sets(make):
    table = table_of(make(data="sst2"), make(data="rte", options={"trainer": {"epochs": 10}}))
    (row,) = table.rows
    assert row.setting == ""
    assert [column.data.label for column in table.columns] == ["rte", "sst2"]


def test_another_backbone_under_one_name_is_another_row(make):
    run = make(seed=1)
    other = run.model_copy(update={"model": run.model.model_copy(update={"fingerprint": "cd" * 32})})
    table = table_of(make(seed=0), other)
    assert [row.setting for row in table.rows] == ["model_fingerprint=abababab", "model_fingerprint=cdcdcdcd"]


def test_runs_that_start_from_like_runs_are_averaged(make):
    """Each seed has trained weights of its own to start from; what they were trained by is the same."""

    def started(seed, start):
        options = {"model": {"from_run": start}}
        values = make(seed=seed, options=options).model_dump()
        values["model"]["fingerprint"] = f"{seed:064x}"
        return type(make()).model_validate(values)

    (row,) = table_of(started(0, "aaaaaaaa"), started(1, "aaaaaaaa")).rows
    assert len(row.runs) == 2
    assert len(table_of(started(0, "aaaaaaaa"), started(1, "bbbbbbbb")).rows) == 2


def test_a_missing_seed_is_said(make):
    runs = [make("none", None, seed) for seed in range(3)] + [make("svd", 64, seed) for seed in (0, 2)]
    assert warnings(table_of(*runs)) == ["sst2: seed 1 missing for svd r=64."]


def test_a_method_that_was_not_run_on_a_data_set_is_a_blank_not_a_gap(make):
    assert warnings(table_of(make("none", None), make("svd"), make("none", None, data="rte"))) == []


def test_failed_runs_are_listed_and_their_seed_is_missing(make):
    # It failed before the rows were counted, and still belongs to its data set.
    table = table_of(make(seed=0), make(seed=1, error="out of\nmemory", rows={}))
    (row,) = table.rows
    assert row.spread(table.columns[0]).values == {0: 0.9}
    assert [run.seed for run in row.failed(table.data[0])] == [1]
    missing, failed = warnings(table)
    assert missing == "sst2: seed 1 missing for svd r=64."
    assert failed.startswith("Failed: sst2-minilm-svd-r64-s1-")
    assert failed.endswith(": out of memory")


def test_a_table_of_failures_only_still_lists_them(make):
    table = table_of(make(error="no"))
    assert len(table.rows) == 1
    assert table.columns == ()
    assert len(warnings(table)) == 1


def test_an_undefined_metric_is_left_out_of_the_mean_and_said(make):
    metrics = [{"validation": {"pearson": value}} for value in (0.5, None, 0.7)]
    table = table_of(*(make(seed=seed, metrics=values) for seed, values in enumerate(metrics)))
    (spread,) = spreads(table).values()
    assert spread.mean == pytest.approx(0.6)
    assert warnings(table) == ["sst2 pearson on validation is undefined for seed 1 of svd r=64."]


def test_problems_of_reading_are_passed_on(make):
    assert warnings(table_of(make(), problems=["x/record.json is cut off"])) == ["Left out: x/record.json is cut off"]


def test_sources_say_split_rows_seeds_and_the_note(make):
    (line,) = sources(table_of(make(seed=0, note="Single terms: a smoke test."), make(seed=3, note="Single terms.")))
    assert line.startswith("sst2: accuracy on validation (872 rows); trained on 8,000 rows")
    assert "1,000 rows of train held out for selection; seeds 0, 3." in line
    assert line.endswith("Single terms: a smoke test.")


def test_more_seeds_of_dense_are_no_gap_of_several_methods(make):
    dense = [make("none", None, seed) for seed in range(5)]
    methods = [make(name, 64, seed) for name in ("svd", "weighted_svd") for seed in range(3)]
    assert warnings(table_of(*dense, *methods)) == []
    assert "n=5" in render(table_of(*dense, *methods))
    assert warnings(table_of(*dense, *methods[:-1])) == ["sst2: seed 2 missing for weighted_svd r=64."]
