"""Tables can be made from W&B alone; what is not a whole record there is told in words."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from embfact.errors import UserError
from embfact.results.result_table import build_table
from embfact.results.wandb import runs
from embfact.results.wandb.runs import collected
from embfact.results.wandb.values import RECORD, outcome
from embfact.runs.record import RunRecord
from tests.helpers.records import make_values
from tests.helpers.wandb_service import KEY, Service


def made(**options: Any) -> RunRecord:
    return RunRecord.model_validate(make_values(**options))


def configured(record: RunRecord) -> dict[str, Any]:
    return {"hash": record.hash, "method": record.method.name, **outcome(record)}


def test_every_record_of_a_project_comes_back_whole(service: Service) -> None:
    records = [made(method=method, seed=seed, note="ünlike") for method in ("none", "svd") for seed in (0, 1)]
    records.append(made(seed=7, error="out of memory"))
    for record in records:
        service.add(record.name, configured(record), "finished" if record.status == "finished" else "failed")
    found = collected("wandb:me/embfact")
    assert sorted(found.records, key=lambda record: record.name) == sorted(records, key=lambda record: record.name)
    assert (found.problems, dict(found.places)) == ((), {})
    assert [row.label for row in build_table(found).rows] == ["none", "svd"]


def test_many_runs_are_asked_for_page_by_page(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "PAGE", 3)
    for seed in range(8):
        service.add(f"run-{seed}", configured(made(seed=seed)))
    assert [record.seed for record in collected("me/embfact").records] == list(range(8))
    asked = service.questions("Runs")
    assert [(one["perPage"], one["cursor"]) for one in asked] == [(3, None), (3, "3"), (3, "6")]
    # Nothing is asked for run by run.
    assert {name for name, _ in service.asked} <= {"Viewer", "GetDefaultEntity", "Runs"}


def test_a_run_without_a_whole_record_is_told(service: Service) -> None:
    whole, newer = made(), made(seed=1)
    service.add("whole", configured(whole))
    service.add("someone else's", {"lr": 0.1})
    service.add("another's", {})
    service.add("still at it", {"hash": "ab"}, "running")
    service.add("killed", {"hash": "ab"}, "crashed")
    service.add("half", {RECORD: outcome(newer)[RECORD][:500]})
    service.add("toy (sweep)", {"sweep": "toy", "runs": 7})  # which is none, and no problem
    service.add("of the future", {RECORD: '{"schema_version": 99}'})
    found = collected("me/embfact")
    assert found.records == (whole,)
    told = "\n".join(found.problems)
    assert "the record of W&B run me/embfact/id-half is truncated" in told
    assert "id-of the future has schema_version 99" in told
    assert "2 W&B runs not created by embfact: someone else's, another's" in told
    assert "1 W&B run without a record yet (running): still at it" in told
    assert "1 W&B run ended without a record (crashed; rerun the sweep" in told
    assert len(found.problems) == 5


def test_a_run_that_is_there_twice_counts_once(service: Service) -> None:
    record = made()
    older = record.model_copy(update={"started": record.started.replace(year=2024), "metrics": {"test": {"f1": 0.1}}})
    for name, one in {"first": older, "again": record}.items():
        service.add(name, configured(one))
    found = collected("me/embfact")
    assert found.records == (record,)
    assert "was found more than once; the newest" in found.problems[0]


@pytest.mark.parametrize("place", ["embfact", "me/", "/embfact", "me/embfact/runs", "wandb:", "me/em bf%act", "me/ x"])
def test_what_names_no_project_is_refused(place: str) -> None:
    with pytest.raises(UserError, match="is not a W&B project; give ENTITY/PROJECT"):
        collected(place)


def test_a_project_that_is_not_there_is_told(service: Service) -> None:
    with pytest.raises(UserError, match="no project me/other that this key can access"):
        collected("me/other")


@pytest.mark.usefixtures("no_key")
def test_without_a_key_nothing_is_asked() -> None:
    with pytest.raises(UserError, match="no W&B key found; run `wandb login`, or set WANDB_API_KEY"):
        collected("me/embfact")


@pytest.mark.usefixtures("_fresh_wandb")
def test_a_service_that_does_not_answer_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_HTTP_TIMEOUT", "2")
        with pytest.raises(UserError, match=r"W&B request for me/embfact failed \(no answer within 2 seconds\)"):
            collected("me/embfact")


def test_a_time_that_is_no_number_is_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_HTTP_TIMEOUT", "soon")
    with pytest.raises(UserError, match="WANDB_HTTP_TIMEOUT must be a whole number of seconds"):
        collected("me/embfact")
