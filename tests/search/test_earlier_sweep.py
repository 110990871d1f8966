"""Options of an earlier sweep: the best by held-out loss, for each method, from whole settings only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embfact.config.compose import read_request
from embfact.config.run_config import RunConfig
from embfact.errors import ConfigError
from embfact.results.comparable import describe_search, group_of
from embfact.runs.facts import facts_of
from embfact.runs.identity import identify
from embfact.runs.record import RunRecord, SelectionPart, write
from embfact.search import with_best

GRID = ["optimizer.lr=1e-4,1e-3", "optimizer.embedding_lr=1,3"]


@pytest.fixture
def configs(conf: Path, tiny: list[str], tmp_path: Path) -> Callable[..., list[RunConfig]]:
    """The configurations of a sweep in a folder of the test."""

    def compose(*words: str) -> list[RunConfig]:
        folder = f"output_dir='{tmp_path / 'rates'}'"
        return list(read_request(conf, [*tiny, "rank=8", folder, *words], multirun=True).configs)

    return compose


@pytest.fixture
def swept(make: Any, tmp_path: Path) -> Callable[..., str]:
    """Writes records of runs as if trained, with a held-out loss; returns the option that names their folder."""

    def write_all(runs: list[RunConfig], loss: Callable[[RunConfig], float | None]) -> str:
        ended = make()
        for config in runs:
            facts, value = facts_of(config, identify(config)), loss(config)
            if value is None:
                record = facts.ended("diverged", error={"type": "DivergedError", "message": "nan at step 3"})
            else:
                selection = SelectionPart(rows=32, metric="loss", best_epoch=0, value=value, history=[])
                data = facts.data.model_copy(update={"rows": {"train": 96}})
                rest = {name: getattr(ended, name) for name in ("size", "metrics", "training")}
                record = RunRecord.model_validate(facts.ended("finished", data=data, selection=selection, **rest))
            write(record, tmp_path / "rates" / record.name)
        return f"search.sweep='{tmp_path / 'rates'}'"

    return write_all


def rate(config: RunConfig) -> float:
    return config.optimizer.lr


def found(configs: list[RunConfig]) -> set[tuple[str, float, float]]:
    best = with_best(configs)
    return {(one.factorization.name, one.optimizer.lr, one.optimizer.embedding_lr) for one in best}


def test_each_method_gets_its_best_setting_for_all_sizes_seeds_and_formats(
    configs: Any, swept: Callable[..., str]
) -> None:
    losses = {("svd", 1e-3, 3): 0.2, ("random", 1e-4, 1): 0.3}

    def loss(config: RunConfig) -> float:
        key = (config.factorization.name, rate(config), config.optimizer.embedding_lr)
        return losses.get(key, 0.4) + 0.01 * config.seed  # type: ignore[arg-type]

    words = swept(configs("factorization=svd,random", *GRID, "seed=7,8"), loss)
    later = configs("factorization=svd,random", "rank=4,16", "storage=float32,int8", "seed=0,1", words)
    assert found(later) == {("svd", 1e-3, 3), ("random", 1e-4, 1)}
    assert len(with_best(later)) == len(later)


def test_a_setting_is_judged_by_all_of_its_seeds(configs: Any, swept: Callable[..., str]) -> None:
    lucky = {(1e-3, 7): 0.0, (1e-3, 8): 1.0}
    runs = configs("factorization=svd", "optimizer.lr=1e-4,1e-3", "seed=7,8")
    words = swept(runs, lambda one: lucky.get((rate(one), one.seed), 0.4))
    assert found(configs("factorization=svd", words)) == {("svd", 1e-4, 1)}


def test_a_setting_that_diverged_once_is_not_chosen(configs: Any, swept: Callable[..., str]) -> None:
    runs = configs("factorization=svd", "optimizer.lr=1e-4,1e-3", "seed=7,8")
    words = swept(runs, lambda one: None if (rate(one), one.seed) == (1e-3, 8) else 0.4 - rate(one))
    assert found(configs("factorization=svd", words)) == {("svd", 1e-4, 1)}


@pytest.mark.parametrize(
    ("trained", "asked", "reason"),
    [
        (["factorization=svd", "seed=7"], ["factorization=random"], "no run of random"),
        (
            ["factorization=svd", "seed=7"],
            ["factorization=svd", "trainer.max_steps=2"],
            "only with another trainer.max_steps",
        ),
        (
            ["factorization=svd", "seed=7"],
            ["factorization=svd", "data.train_size=50"],
            "only with another data.train_size",
        ),
        ([], ["factorization=svd"], "not a folder"),
    ],
)
def test_a_sweep_that_cannot_tell_is_refused(
    configs: Any, swept: Callable[..., str], trained: list[str], asked: list[str], reason: str
) -> None:
    words = swept(configs(*trained) if trained else [], lambda one: 0.4)
    with pytest.raises(ConfigError, match=reason):
        with_best(configs(*asked, words))


def test_an_unfinished_sweep_is_refused_with_what_is_missing(configs: Any, swept: Callable[..., str]) -> None:
    words = swept(configs("factorization=svd", "optimizer.lr=1e-4,1e-3", "seed=7,8")[:-1], lambda one: 0.4)
    with pytest.raises(ConfigError, match=r"svd with optimizer.lr=0.001 lacks seed 8"):
        with_best(configs("factorization=svd", words))


def test_a_dense_run_with_its_own_rate_is_comparable(configs: Any, swept: Callable[..., str]) -> None:
    runs = configs("factorization=svd,none", *GRID, "seed=7,8")
    words = swept(runs, lambda one: rate(one) if one.factorization.name == "svd" else 1 - rate(one))
    svd, dense = with_best(configs("factorization=svd,none", words))
    assert (rate(svd), rate(dense)) == (1e-4, 1e-3)
    identities = [identify(one) for one in (svd, dense)]
    groups = {
        group_of(identity.science, one.search.model_dump(mode="json"), identity.model_fingerprint)
        for identity, one in zip(identities, (svd, dense), strict=True)
    }
    assert len(groups) == 1
    text = describe_search(svd.search.model_dump(mode="json"))
    assert "0.0001, 0.001" in text
    assert "2 seeds" in text


def test_the_command_refuses_it_before_anything_starts(train: Any, tiny: list[str], tmp_path: Path) -> None:
    done = train(*tiny, "factorization=svd", "rank=8", "search.sweep=nowhere", cwd=tmp_path)
    assert done.code == 2
    assert "search.sweep=nowhere" in done.err
    assert not list(tmp_path.iterdir())
