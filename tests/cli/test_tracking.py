"""Every run is a Weights & Biases run of its own, marked as it ended; an error of W&B never stops a training."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from embfact.cli.plot import main as plot
from embfact.factorization.random import Random
from embfact.results.collect import find_records
from embfact.results.result_table import build_table
from embfact.results.table.numbers import row_lines
from embfact.results.wandb.runs import collected
from embfact.results.wandb.values import row, summary
from embfact.runs.record import RunRecord, read
from embfact.system.signals import Interrupted
from tests.cli.wandb_file import Offline, read_offline
from tests.helpers.wandb_service import KEY, serving


@dataclass(frozen=True)
class Logged:
    """A sweep of two runs in one process, the second of which diverges, and what W&B was left with."""

    folder: Path
    out: str

    @property
    def records(self) -> dict[str, RunRecord]:
        """The records by their status."""
        places = [path.parent for path in self.folder.glob("my runs/*/record.json")]
        return {record.status: record for record in map(read, places)}

    def offline(self, record: RunRecord) -> Offline:
        """What the W&B file of a run holds."""
        (file,) = self.folder.glob(f"my runs/{record.name}/wandb/offline-run-*/*.wandb")
        return read_offline(file)

    @property
    def sweep(self) -> Offline:
        """What the W&B file of the sweep holds."""
        (file,) = self.folder.glob("my runs/wandb/offline-run-*/*.wandb")
        return read_offline(file)


@pytest.fixture(scope="module")
def logged(train: Any, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Logged:
    folder = tmp_path_factory.mktemp("tracked")
    words = ["logger=offline", "output_dir=my runs", "tags=[pilot]", "factorization=svd", "rank=8", "baseline=false"]
    words += ["logger.entity=me", "trainer.batch_size=8", "optimizer.lr=1e-4,1e30", "-m"]
    answer = train(*tiny, *words, cwd=folder)
    assert answer.code == 1, answer
    return Logged(folder, answer.out)


def test_two_runs_of_a_process_are_two_runs_there(logged: Logged) -> None:
    runs = [logged.offline(record) for record in logged.records.values()]
    assert len({run.id for run in runs}) == len(runs) == 2


def test_a_run_is_marked_as_it_ended(logged: Logged) -> None:
    ended = {status: logged.offline(record).exit_code for status, record in logged.records.items()}
    assert ended == {"finished": 0, "diverged": 1}


def test_a_run_can_be_found_and_grouped_there(logged: Logged) -> None:
    record = logged.records["finished"]
    run = logged.offline(record)
    assert (run.name, run.project, run.group) == (record.name, "embfact", "debug")
    assert (run.job_type, run.tags) == ("factorized", ("pilot",))
    expected = {"method": "svd", "rank": 8, "dataset": "vader", "backbone": "bert-scratch", "seed": 0}
    expected |= {"variant": "svd-r8", "storage": "float32", "hash": record.hash}
    assert {key: run.config[key] for key in expected} == expected
    # The whole resolved configuration is there besides.
    assert {**record.config, **run.config} == run.config


def test_its_figures_can_be_plotted_there(logged: Logged) -> None:
    record = logged.records["finished"]
    found = logged.offline(record).summary
    expected = {
        "params/total": record.size.model.parameters,
        "params/embedding": record.size.embedding.parameters,
        "params/embedding_ratio": 8 * (30522 + 128) / (30522 * 128),
        "bytes/embedding": record.size.embedding.bytes,
        "test/accuracy": record.metrics["test"]["accuracy"],
        "seconds/total": record.seconds.total,
    } | summary(record)
    assert {key: found[key] for key in expected} == pytest.approx(expected)


def test_a_run_that_diverged_says_so_there(logged: Logged) -> None:
    record = logged.records["diverged"]
    found = logged.offline(record).summary
    assert (found["status"], found["error"]) == ("diverged", record.error.message)


def test_a_run_that_diverged_has_its_sizes_there(logged: Logged) -> None:
    finished, diverged = (logged.records[status] for status in ("finished", "diverged"))
    for part in ("embedding", "model"):
        own, other = getattr(diverged.size, part), getattr(finished.size, part)
        assert (own.parameters, own.bytes) == (other.parameters, other.bytes)
        assert own.zstd_bytes is None  # its weights are of no use
    sizes = ["params/embedding", "params/total", "bytes/embedding", "bytes/total", "params/embedding_ratio"]
    found = logged.offline(diverged).summary
    assert {name: found[name] for name in sizes} == {name: summary(finished)[name] for name in sizes}
    assert "score" not in found


def test_every_run_logs_its_line_of_the_table_with_a_chart(logged: Logged) -> None:
    for record in logged.records.values():
        run = logged.offline(record)
        (line,) = run.table("result_table")
        assert line == row(record)
        sizes = (record.size.embedding, record.size.model)
        names = ("embedding parameters", "embedding bytes", "model parameters", "model bytes")
        assert [line[name] for name in names] == [number for one in sizes for number in (one.parameters, one.bytes)]
        about = {"data": "vader", "backbone": "bert-scratch", "method": "svd", "rank": 8, "seed": 0}
        assert {name: line[name] for name in about} == about
        assert (line["learning rate"], line["status"]) == (record.config["optimizer"]["lr"], record.status)
        assert (line["metric"], line["score"]) == (
            ("test/accuracy", record.metrics["test"]["accuracy"]) if record.status == "finished" else (None, None)
        )
        # The chart shows the lines of all runs that are selected.
        axes = {"x": "embedding parameters", "y": "score"}
        assert run.chart("result") == {"preset": "wandb/scatter/v0", "axes": axes, "table": "result_table"}


def test_the_table_of_the_sweep_is_in_the_group_of_its_runs(logged: Logged) -> None:
    run = logged.sweep
    assert (run.project, run.group, run.job_type, run.exit_code) == ("embfact", "debug", "sweep", 0)
    table = build_table(find_records([logged.folder / "my runs"]))
    assert run.table("sweep/table") == row_lines(table, table.columns)
    assert {line["setting"]: line["failed_runs"] for line in run.table("sweep/table")} == {"lr=0.0001": 0, "lr=1e30": 1}


def test_its_picture_is_that_of_the_plot_command(logged: Logged, tmp_path: Path) -> None:
    assert plot([str(logged.folder / "my runs"), "--output", str(tmp_path / "plot.png")]) == 0
    assert logged.sweep.media("sweep/pareto_picture") == (tmp_path / "plot.png").read_bytes()
    (point,) = logged.sweep.table("sweep/pareto_table")
    record = logged.records["finished"]
    size = "parameters of the token embedding"
    assert (point["method"], point[size]) == ("svd", record.size.embedding.parameters)
    assert (point["score"], point["seeds"], point["on the Pareto front"]) == (
        record.metrics["test"]["accuracy"],
        1,
        True,
    )
    chart = logged.sweep.chart("sweep/pareto")
    assert (chart["axes"], chart["table"]) == ({"x": size, "y": "score"}, "sweep/pareto_table")


def test_the_whole_record_is_there(logged: Logged) -> None:
    for record in logged.records.values():
        assert RunRecord.model_validate(json.loads(logged.offline(record).config["record"])) == record


def test_learning_curves_are_those_of_the_run_directory(logged: Logged) -> None:
    record = logged.records["finished"]
    run = logged.offline(record)
    assert run.axes["*"] == "trainer/global_step"
    with (logged.folder / "my runs" / record.name / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    (row,) = [row for row in rows if row["selection/loss"]]
    assert float(row["selection/loss"]) == pytest.approx(record.selection.value)
    ((step, value),) = run.curve("selection/loss")
    # W&B counts steps from 0.
    assert (step + 1, value) == (record.training.steps, pytest.approx(record.selection.value))
    for name in ("train/loss", "optimizer/lr", "optimizer/embedding_lr"):
        assert run.curve(name)


@pytest.fixture
def _fresh_wandb() -> Iterator[None]:
    import wandb

    wandb.teardown()
    yield
    wandb.teardown()


@pytest.mark.usefixtures("_fresh_wandb")
def test_the_printed_line_sends_every_run_once(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = [line for line in logged.out.splitlines() if "wandb sync" in line]
    command = line[line.index("wandb sync") :]
    assert command == "wandb sync 'my runs'/*/wandb/offline-run-* 'my runs'/wandb/offline-run-*"
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("WANDB_API_KEY", KEY)

    def sync(command: str) -> str:
        done = subprocess.run(["sh", "-c", command], cwd=logged.folder, capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    with serving() as service:
        monkeypatch.setenv("WANDB_BASE_URL", service.url)
        sync(command)
        states = {run["displayName"]: run["state"] for run in service.runs.values()}
        finished, diverged = logged.records["finished"], logged.records["diverged"]
        assert states == {finished.name: "finished", diverged.name: "failed", "debug (sweep)": "finished"}
        for run in (logged.offline(finished), logged.offline(diverged)):
            assert service.files[run.summary["result_table/path"]] == run.media("result_table")
        for name in ("sweep/table", "sweep/pareto_table", "sweep/pareto_picture"):
            assert service.files[logged.sweep.summary[f"{name}/path"]] == logged.sweep.media(name)
        asked = len(service.asked)
        assert "Skipped 3 synced run(s)" in sync(command)
        assert len(service.asked) == asked
        # Also where the marks are lost: the ids are those of the runs that are there.
        for mark in logged.folder.rglob("*.wandb.synced"):
            mark.unlink()
        sync(command)
        assert {run["displayName"]: run["state"] for run in service.runs.values()} == states
        assert len(service.runs) == 3
        found = collected("wandb:me/embfact")
    assert {record.status: record for record in found.records} == logged.records
    assert found.problems == ()


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
    assert answer.err.count("continues without it: no service") == 1
    (directory,) = tmp_path.glob("runs/*/")
    assert read(directory).status == "finished"
    log = (directory / "log.txt").read_text()
    assert log.count("continues without it: no service") == 1
