"""The table of a sweep is written once, by one process, to one W&B run, and a fault of W&B does not fail the sweep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embfact.results.wandb.runs import collected
from tests.cli.wandb_file import Offline, read_offline
from tests.helpers.wandb_service import KEY, serving

WORDS = ["logger=offline", "output_dir=runs", "experiment_name=toy", "trainer.batch_size=8", "baseline=false"]
WORDS += ["factorization=svd", "rank=8"]


@pytest.fixture(autouse=True)
def _fresh_wandb() -> Iterator[None]:
    import wandb

    wandb.teardown()
    yield
    wandb.teardown()


def sweeps(folder: Path) -> list[Offline]:
    """What W&B was told of the sweep, in order."""
    return [read_offline(file) for file in sorted(folder.glob("runs/wandb/offline-run-*/*.wandb"))]


def seeds(run: Offline) -> list[str]:
    return [line["seeds"] for line in run.table("sweep/table")]


def test_a_sweep_that_is_repeated_writes_what_is_new_to_the_same_run(
    train: Any, tiny: list[str], tmp_path: Path
) -> None:
    assert train(*tiny, *WORDS, "-m", cwd=tmp_path).code == 0
    (first,) = sweeps(tmp_path)
    assert seeds(first) == ["0"]
    assert train(*tiny, *WORDS, "-m", cwd=tmp_path).code == 0
    assert len(sweeps(tmp_path)) == 1
    # A part of it, under the same name: the table in the group has all that is there.
    assert train(*tiny, *WORDS, "seed=1", "-m", cwd=tmp_path).code == 0
    _, second = sweeps(tmp_path)
    assert (second.id, second.group, second.job_type) == (first.id, "toy", "sweep")
    assert seeds(second) == ["0 1"]


def test_a_run_alone_has_no_table_of_a_sweep(train: Any, tiny: list[str], tmp_path: Path) -> None:
    answer = train(*tiny, *WORDS, cwd=tmp_path)
    assert answer.code == 0
    assert sweeps(tmp_path) == []
    assert "runs/wandb" not in answer.out


@pytest.mark.parametrize("where", ["init", "log"])
def test_a_service_that_fails_at_the_end_is_told_once_and_the_same_command_tries_again(
    where: str, train: Any, tiny: list[str], tmp_path: Path
) -> None:
    import wandb

    real = wandb.init

    def init(**about: Any) -> Any:
        if about["job_type"] != "sweep":
            return real(**about)
        if where == "init":
            raise ConnectionError("no service")
        run = real(**about)

        def log(*_: Any, **__: Any) -> None:
            raise ConnectionError("no service")

        run.log = log
        return run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wandb, "init", init)
        answer = train(*tiny, *WORDS, "-m", cwd=tmp_path)
    assert (answer.code, len(answer.err.splitlines())) == (0, 1)
    assert "Weights & Biases does not have the table of the sweep" in answer.err
    assert "no service" in answer.err
    answer = train(*tiny, *WORDS, "-m", cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    found = sweeps(tmp_path)[-1]
    assert (seeds(found), found.exit_code) == (["0"], 0)


def test_online_the_runs_and_their_table_arrive_while_the_sweep_runs(
    train: Any, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with serving() as service:
        monkeypatch.setenv("WANDB_BASE_URL", service.url)
        words = [word for word in WORDS if not word.startswith("logger")]
        answer = train(*tiny, *words, "logger=wandb", "logger.entity=me", "seed=0,1", "-m", cwd=tmp_path)
        assert (answer.code, answer.err) == (0, "")
        assert "wandb sync" not in answer.out
        found = {run["displayName"]: (run["state"], run["group"]) for run in service.runs.values()}
        runs = {path.parent.name for path in tmp_path.glob("runs/*/record.json")}
        assert found == dict.fromkeys([*runs, "toy (sweep)"], ("finished", "toy"))
        sent = sorted(name.rpartition("_")[0].rpartition("_")[0] for name in service.files if name.startswith("media/"))
        tables = ["media/table/result_table"] * 2 + ["media/table/sweep/pareto_table", "media/table/sweep/table"]
        assert sent == ["media/images/sweep/pareto_picture", *tables]
        assert len(collected("wandb:me/embfact").records) == 2


def test_a_run_that_an_error_has_left_open_does_not_get_what_follows(
    train: Any, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    real = wandb.init

    def init(**about: Any) -> Any:
        run = real(**about)
        if "-s0-" in about["name"]:

            def log(*_: Any, **__: Any) -> None:
                raise ConnectionError("no service")

            run.log = log
        return run

    monkeypatch.setattr(wandb, "init", init)
    answer = train(*tiny, *WORDS, "seed=0,1", "-m", cwd=tmp_path)
    assert (answer.code, answer.err.count("no service")) == (0, 1)
    files = [read_offline(file) for file in tmp_path.glob("runs/*-s1-*/wandb/offline-run-*/*.wandb")]
    assert [(run.name, run.exit_code) for run in files] == [(path.name, 0) for path in tmp_path.glob("runs/*-s1-*")]
    assert [seeds(run) for run in sweeps(tmp_path)] == [["0 1"]]


def test_runs_of_several_processes_have_one_table(train: Any, tiny: list[str], tmp_path: Path) -> None:
    answer = train(*tiny, *WORDS, "seed=0,1", "hydra/launcher=parallel", "-m", cwd=tmp_path)
    assert answer.code == 0, answer
    (run,) = sweeps(tmp_path)
    assert seeds(run) == ["0 1"]
