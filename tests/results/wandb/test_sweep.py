"""What a sweep shows: its table, and a Pareto picture for every backbone and data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from embfact.config.run_config import RunConfig
from embfact.results.collect import Collected
from embfact.results.plots.points import front, lines
from embfact.results.result_table import ResultTable, build_table
from embfact.results.table.numbers import row_lines
from embfact.results.wandb.services import SERVICES, ServiceRun
from embfact.results.wandb.sweep import show, write_sweep
from embfact.runs.identity import Identity
from embfact.runs.planned import PlannedRun, outcome_of
from embfact.runs.record import RunRecord, write
from tests.helpers.records import make_record


class Kept(ServiceRun):
    """A run that keeps what it is told."""

    title = "a service"

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {}
        self.charts: dict[str, tuple[str, str]] = {}
        self.pictures: dict[str, bytes] = {}
        self.ended: list[bool] = []

    @classmethod
    def open(cls, *_: Any) -> Kept:
        return cls()

    def log(self, *_: Any) -> None: ...

    def conclude(self, *_: Any) -> None: ...

    def finish(self, *, succeeded: bool) -> None:
        self.ended.append(succeeded)

    def log_table(self, name: str, lines: Sequence[Mapping[str, Any]]) -> None:
        self.tables[name] = [dict(line) for line in lines]

    def log_scatter(self, name: str, lines: Sequence[Mapping[str, Any]], x: str, y: str, title: str) -> None:
        super().log_scatter(name, lines, x, y, title)
        self.charts[name] = (x, y)

    def log_picture(self, name: str, path: Path, caption: str) -> None:
        self.pictures[name] = path.read_bytes()


def shown(table: ResultTable, folder: Path) -> Kept:
    run = Kept()
    show(run, table, folder)
    return run


def methods(model: str = "minilm", **options: Any) -> list[RunRecord]:
    records = [make_record(seed=seed, **options) for seed in (0, 1)]
    records += [make_record(method="none", rank=None, seed=seed, **options) for seed in (0, 1)]
    records += [make_record(rank=16, metrics={"validation": {"accuracy": 0.7}}, **options)]
    records += [make_record(method="random", rank=64, metrics={"validation": {"accuracy": 0.6}}, **options)]
    return [record.model_copy(update={"model": record.model.model_copy(update={"name": model})}) for record in records]


def test_the_points_and_the_front_are_those_of_the_plot(tmp_path: Path) -> None:
    table = build_table(Collected(tuple(methods())))
    run = shown(table, tmp_path)
    drawn = lines(table, table.columns[0], "params")
    points = [point for line in drawn for point in line.points]
    told = run.tables["sweep/pareto_table"]
    size = "parameters of the token embedding"
    assert [(line[size], line["score"], line["seeds"]) for line in told] == [
        (point.size, point.mean, len(point.spread.defined)) for point in points
    ]
    best = {(point.size, point.mean) for point in front(points)}
    assert {(line[size], line["score"]) for line in told if line["on the Pareto front"]} == best
    assert {line["method"] for line in told if not line["on the Pareto front"]} == {"none", "random"}
    assert run.charts == {"sweep/pareto": (size, "score")}
    assert run.pictures["sweep/pareto_picture"].startswith(b"\x89PNG")
    assert run.tables["sweep/table"] == row_lines(table, table.columns)


def test_backbones_and_data_sets_have_pictures_of_their_own(tmp_path: Path) -> None:
    records = [
        record for model in ("minilm", "bert") for data in ("sst2", "rte") for record in methods(model, data=data)
    ]
    run = shown(build_table(Collected(tuple(records))), tmp_path)
    endings = {f" {model} {data}" for model in ("minilm", "bert") for data in ("sst2", "rte")}
    assert set(run.pictures) == {f"sweep/pareto_picture{ending}" for ending in endings}
    assert set(run.charts) == {f"sweep/pareto{ending}" for ending in endings}
    for ending in endings:
        (where,) = {(line["backbone"], line["data"]) for line in run.tables[f"sweep/pareto{ending}_table"]}
        assert " ".join(where) == ending.strip()


def test_quantized_tables_are_compared_by_their_bytes(tmp_path: Path) -> None:
    records = [*methods(), make_record(storage="int8", metrics={"validation": {"accuracy": 0.8}})]
    run = shown(build_table(Collected(tuple(records))), tmp_path)
    assert run.charts == {"sweep/pareto": ("bytes of the token embedding", "score")}


def test_what_cannot_be_drawn_still_has_its_table(tmp_path: Path) -> None:
    run = shown(build_table(Collected((make_record(method="none", rank=None),))), tmp_path)
    assert (len(run.tables["sweep/table"]), run.pictures, run.charts) == (1, {}, {})


def planned(record: RunRecord, folder: Path, config: RunConfig, *, here: bool = True) -> PlannedRun:
    directory = folder / record.name
    if here:
        write(record, directory)
    return PlannedRun(config, Identity(record.hash, record.name, directory, "", "", {}), record)


def test_a_record_that_is_only_at_a_url_is_in_the_table(
    configured: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Kept] = []

    def keep(*_: Any) -> Kept:
        opened.append(Kept())
        return opened[-1]

    monkeypatch.setattr(SERVICES["wandb"], "open", keep)
    records = [make_record(seed=seed) for seed in (0, 1)]
    words = {record.hash: configured("logger=offline", f"seed={record.seed}") for record in records}
    plan = [planned(record, tmp_path, words[record.hash], here=record.seed == 1) for record in records]
    outcomes = {run.key: outcome_of(run.record) for run in plan if run.record}
    assert write_sweep(plan, outcomes) == ""
    (run,) = opened
    assert [line["seeds"] for line in run.tables["sweep/table"]] == ["0 1"]
    assert run.ended == [True]
    assert write_sweep(plan, outcomes) == ""
    assert len(opened) == 1


@pytest.mark.parametrize(("logger", "error"), [("none", None), ("offline", "no memory")])
def test_without_a_logger_or_a_figure_nothing_is_written(
    logger: str, error: str | None, configured: Callable[..., RunConfig], tmp_path: Path
) -> None:
    record = make_record(error=error)
    plan = [planned(record, tmp_path, configured(f"logger={logger}"))]
    assert write_sweep(plan, {plan[0].key: outcome_of(record)}) == ""
    assert [path.name for path in tmp_path.iterdir()] == [record.name]
