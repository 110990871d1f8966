"""A run carries at W&B what its plots, groups and tables need."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embfact.config.run_config import RunConfig
from embfact.results.wandb.values import RECORD, outcome, row, settings, summary
from embfact.runs.identity import Identity, science
from embfact.runs.record import RunRecord
from tests.helpers.records import make_values

IDENTITY = Identity("ab" * 32, "vader-svd", Path("runs/vader-svd"), "", "", {})


def made(**options: Any) -> RunRecord:
    return RunRecord.model_validate(make_values(**options))


def test_runs_are_filed_by_what_they_are_compared_by(configured: Callable[..., RunConfig]) -> None:
    words = ["factorization=svd", "rank=8", "storage=int8", "seed=3", "tags=[a]", "optimizer.lr=1e-4"]
    found = settings(configured(*words), IDENTITY)
    assert (found["group"], found["job_type"], found["tags"]) == ("default", "factorized", ["a"])
    expected = {"method": "svd", "rank": 8, "storage": "int8", "storage_group": 64, "seed": 3}
    expected |= {"variant": "svd-r8-int8-g64", "learning_rate": 1e-4}
    expected |= {"dataset": "vader", "backbone": "bert-scratch", "hash": "ab" * 32}
    assert {name: found["config"][name] for name in expected} == expected
    assert found["config"]["optimizer"]["name"] == "adamw"


def test_a_baseline_is_told_from_what_is_compared_with_it(configured: Callable[..., RunConfig]) -> None:
    dense = settings(configured("factorization=none", "rank=8"), IDENTITY)
    assert (dense["job_type"], dense["config"]["rank"], dense["config"]["variant"]) == ("baseline", None, "none")
    assert settings(configured("factorization=none", "storage=int8"), IDENTITY)["job_type"] == "factorized"


def test_runs_say_what_they_may_be_averaged_and_compared_with(configured: Callable[..., RunConfig]) -> None:
    def filed(*words: str) -> tuple[str, str]:
        config = configured("factorization=svd", *words)
        decisive = science(config, "d", "m")
        found = settings(config, Identity("ab" * 32, "run", Path("run"), "d", "m", decisive))["config"]
        return found["repeats"], found["comparable"]

    first = filed("rank=8")
    assert filed("rank=8", "seed=1") == first
    wider, dense = filed("rank=16"), filed("factorization=none")
    assert len({first[0], wider[0], dense[0]}) == 3
    assert {wider[1], dense[1]} == {first[1]}
    slower = filed("rank=8", "optimizer.lr=1e-5")
    assert (slower[0] != first[0], slower[1] != first[1]) == (True, True)


def test_what_wandb_would_refuse_a_run_for_is_shortened(configured: Callable[..., RunConfig]) -> None:
    import wandb

    found = settings(configured("factorization=none", f"tags=[{'t' * 80},a,a]"), IDENTITY)
    assert found["tags"] == ["t" * 64, "a"]
    assert wandb.Settings(run_tags=tuple(found["tags"])).run_tags == ("t" * 64, "a")


def test_the_whole_record_is_one_short_string() -> None:
    record = made(rank=None, asked="b0.1", note="ünlike")
    told = outcome(record)
    assert RunRecord.model_validate(json.loads(told[RECORD])) == record
    assert (told["rank"], "\n" in told[RECORD]) == (record.method.rank, False)


def test_the_summary_holds_sizes_ratios_metrics_and_seconds() -> None:
    record = made(rank=64, metrics={"validation": {"accuracy": 0.9, "f1": None}, "extra": {"accuracy": 0.5}})
    found = summary(record)
    share = 64 * (30522 + 384) / (30522 * 384)
    assert found["params/embedding_ratio"] == pytest.approx(share)
    assert found["bytes/embedding_ratio"] == pytest.approx(share)
    assert found["params/total_ratio"] == found["params/total"] / record.size.dense.model.parameters
    assert (found["status"], found["seconds/total"], found["seconds/training"]) == ("finished", 50.0, 40.0)
    assert (found["validation/accuracy"], found["extra/accuracy"], found["score"]) == (0.9, 0.5, 0.9)
    # What is undefined is left out: no plot can show it.
    assert not {"validation/f1", "error"} & set(found)


def test_the_line_of_a_run_has_what_the_table_shows() -> None:
    record = made(rank=64, seed=3, metrics={"validation": {"accuracy": 0.9, "f1": 0.8}, "extra": {"accuracy": 0.5}})
    small = 64 * (30522 + 384)
    expected = {"data": "sst2", "backbone": "minilm", "method": "svd", "rank": 64, "storage": "float32"}
    expected |= {"embedding parameters": small, "embedding bytes": 4 * small, "status": "finished", "seed": 3}
    expected |= {"model parameters": record.size.model.parameters, "model bytes": record.size.model.bytes}
    expected |= {"metric": "validation/accuracy", "score": 0.9, "learning rate": 2e-5}
    assert row(record) == expected


def test_the_line_of_a_run_without_a_figure_has_its_sizes_if_they_are_known() -> None:
    finished = made()
    diverged = made(error="the loss became nan").model_copy(update={"status": "diverged", "size": finished.size})
    nothing = {"metric": None, "score": None}
    assert row(diverged) == row(finished) | nothing | {"status": "diverged"}
    sizes = {name for name in row(finished) if name.endswith(("parameters", "bytes"))}
    failed = row(made(error="no memory"))
    assert {name: failed[name] for name in sizes} == dict.fromkeys(sizes)
    # The same columns, whatever happened: the lines of all runs are one table.
    assert list(failed) == list(row(finished))


def test_a_run_that_failed_says_why() -> None:
    found = summary(made(error="out of memory"))
    assert (found["status"], found["error"]) == ("failed", "out of memory")
    assert not any(name.startswith(("params", "bytes", "validation")) for name in found)
