"""Every run is a Weights & Biases run of its own, marked as it ended; a fault of W&B never stops a training."""

from __future__ import annotations

import csv
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from embfact.factorization.random import Random
from embfact.lifecycle.interruption import Interrupted
from embfact.records.record import RunRecord, read


@dataclass(frozen=True)
class Closed:
    """A W&B run as it was when it was closed."""

    id: str
    name: str
    group: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    summary: dict[str, Any]
    exit_code: int


@pytest.fixture(scope="module")
def logged(train: Any, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Closed]]:
    """Two runs in one process, the second of which diverges, and their W&B runs."""
    from wandb.sdk.wandb_run import Run

    folder, closed, finish = tmp_path_factory.mktemp("tracked"), [], Run.finish

    def spy(run: Any, exit_code: int | None = None, **rest: Any) -> None:
        summary = {key: value for key, value in dict(run.summary).items() if not key.startswith("_")}
        closed.append(Closed(run.id, run.name, run.group, run.tags, dict(run.config), summary, int(exit_code or 0)))
        finish(run, exit_code=exit_code, **rest)

    words = ["logger=offline", "output_dir=runs", "tags=[pilot]", "factorization=svd", "rank=8", "baseline=false"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "finish", spy)
        answer = train(*tiny, *words, "trainer.batch_size=8", "optimizer.lr=1e-4,1e30", "-m", cwd=folder)
    assert answer.code == 1, answer
    return folder, closed


def records(folder: Path) -> dict[str, RunRecord]:
    return {record.status: record for record in map(read, folder.glob("runs/*/"))}


def test_two_runs_of_a_process_are_two_runs_there(logged: tuple[Path, list[Closed]]) -> None:
    folder, closed = logged
    assert len({run.id for run in closed}) == len(closed) == 2
    for run in closed:
        (file,) = folder.glob(f"runs/{run.name}/wandb/offline-run-*/*.wandb")
        assert file.name == f"run-{run.id}.wandb"
        assert file.stat().st_size > 0


def test_a_run_is_marked_as_it_ended(logged: tuple[Path, list[Closed]]) -> None:
    folder, closed = logged
    assert {run.name: run.exit_code for run in closed} == {
        records(folder)["finished"].name: 0,
        records(folder)["diverged"].name: 1,
    }


def test_a_run_can_be_found_and_plotted_there(logged: tuple[Path, list[Closed]]) -> None:
    folder, closed = logged
    record = records(folder)["finished"]
    (run,) = [run for run in closed if run.name == record.name]
    assert (run.group, run.tags) == ("debug", ("pilot",))
    found = {key: run.config[key] for key in ("method", "rank", "dataset", "backbone", "hash", "seed")}
    assert found == {
        "method": "svd",
        "rank": 8,
        "dataset": "vader",
        "backbone": "bert-scratch",
        "hash": record.hash,
        "seed": 0,
    }
    assert run.config["optimizer"]["lr"] == 1e-4
    expected = {
        "params/total": record.size.model.parameters,
        "params/embedding": record.size.embedding.parameters,
        "params/embedding_ratio": 8 * (30522 + 128) / (30522 * 128),
        "bytes/embedding": record.size.embedding.bytes,
        "test/accuracy": record.metrics["test"]["accuracy"],
    }
    assert {key: run.summary[key] for key in expected} == pytest.approx(expected)


def test_learning_curves_are_kept_without_any_service(logged: tuple[Path, list[Closed]]) -> None:
    folder, _ = logged
    record = records(folder)["finished"]
    with (folder / "runs" / record.name / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    (row,) = [row for row in rows if row["selection/accuracy"]]
    assert float(row["selection/accuracy"]) == pytest.approx(record.selection.value)


@pytest.mark.parametrize(
    ("error", "exit_code", "ended"),
    [(RuntimeError("made to fail"), 1, [1]), (Interrupted(signal.SIGINT), 130, [])],
    ids=["fails", "is interrupted"],
)
def test_a_run_that_ends_before_its_first_step_is_told_only_if_it_failed(
    error: BaseException,
    exit_code: int,
    ended: list[int],
    train: Any,
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from wandb.sdk.wandb_run import Run

    finish, closed = Run.finish, []

    def spy(run: Any, exit_code: int | None = None, **rest: Any) -> None:
        closed.append(exit_code)
        finish(run, exit_code=exit_code, **rest)

    def ends(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(Run, "finish", spy)
    monkeypatch.setattr(Random, "fit", ends)
    answer = train(*tiny, "logger=offline", "output_dir=runs", "factorization=random", "rank=8", cwd=tmp_path)
    assert (answer.code, closed) == (exit_code, ended)
    assert len(list(tmp_path.glob("runs/*/wandb/offline-run-*"))) == len(ended)


class Broken:
    """A W&B run that fails at whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name == "define_metric":
            return lambda *args, **kwargs: None
        raise ConnectionError(f"no service for {name}")


@pytest.mark.parametrize("where", ["init", "log"])
def test_a_fault_of_the_service_is_noted_and_the_run_goes_on(
    where: str, train: Any, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    def init(**settings: Any) -> Broken:
        if where == "init":
            raise ConnectionError("no service")
        return Broken()

    monkeypatch.setattr(wandb, "init", init)
    answer = train(*tiny, "logger=offline", "output_dir=runs", "rank=8", "trainer.batch_size=8", cwd=tmp_path)
    assert answer.code == 0
    assert answer.err.count("goes on without it: no service") == 1
    (directory,) = tmp_path.glob("runs/*/")
    assert read(directory).status == "finished"
    log = (directory / "log.txt").read_text()
    assert log.count("goes on without it: no service") == 1
