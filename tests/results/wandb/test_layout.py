"""The workspace and the report hold the plots and the table, and are made with one command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embfact.cli.wandb_workspace import main
from embfact.config.run_config import RunConfig
from embfact.results.wandb import layout
from embfact.results.wandb.access import Project
from embfact.results.wandb.layout import specification
from embfact.results.wandb.values import row, settings
from embfact.runs.identity import Identity
from tests.helpers.places import ROOT
from tests.helpers.wandb_service import Service

SCRIPT = ROOT / "scripts" / "wandb_workspace.py"
PROJECT = Project("me", "embfact")


def panels_of(view: dict[str, Any]) -> list[dict[str, Any]]:
    if "section" in view["spec"]:
        sections = view["spec"]["section"]["panelBankConfig"]["sections"]
        return [panel for section in sections for panel in section["panels"]]
    (grid,) = [block for block in view["spec"]["blocks"] if block["type"] == "panel-grid"]
    return grid["metadata"]["panelBankSectionConfig"]["panels"]


def runs_of(view: dict[str, Any]) -> dict[str, Any]:
    if "section" in view["spec"]:
        return view["spec"]["section"]["runSets"][0]
    (grid,) = [block for block in view["spec"]["blocks"] if block["type"] == "panel-grid"]
    return grid["metadata"]["runSets"][0]


@pytest.mark.parametrize("name", ["workspace", "report"])
def test_both_hold_the_plots_and_the_table(name: str) -> None:
    view = specification(PROJECT, "validation/accuracy")[name]
    panels = panels_of(view)
    scatters = [panel["config"] for panel in panels if panel["viewType"] == "Scatter Plot"]
    assert [one["xAxis"] for one in scatters] == [f"summary:{size}" for size in layout.SIZES.values()]
    assert {one["yAxis"] for one in scatters} == {"summary:validation/accuracy"}
    (parallel,) = [panel["config"] for panel in panels if panel["viewType"] == "Parallel Coordinates Plot"]
    axes = [column["accessor"] for column in parallel["columns"]]
    names = ("dataset", "backbone", "comparable", "method", "rank", "learning_rate", "seed")
    factors = {f"config:{name}.value" for name in names}
    (importance,) = [panel["config"] for panel in panels if panel["viewType"] == "Parameter Importance"]
    assert importance["targetKey"] == "validation/accuracy"
    assert factors | {"summary:validation/accuracy"} <= {*axes}
    curves = [panel["config"] for panel in panels if panel["viewType"] == "Run History Line Plot"]
    assert {curve["xAxis"] for curve in curves} == {"trainer/global_step"}
    columns = runs_of(view)["runFeed"]["columnOrder"]
    assert factors | {"summary:status", "summary:validation/accuracy"} <= {*columns}


def test_the_workspace_is_grouped_by_data_set_backbone_and_method() -> None:
    view = specification(PROJECT)["workspace"]
    groups = [(key["section"], key["name"]) for key in runs_of(view)["grouping"]]
    assert groups[:3] == [("config", f"{name}.value") for name in ("dataset", "backbone", "method")]
    # And then so that nothing is averaged but seeds.
    assert groups[3:] == [("config", "repeats.value")]
    assert "config:learning_rate.value" in runs_of(view)["runFeed"]["columnOrder"]


@pytest.mark.parametrize("name", ["workspace", "report"])
def test_what_runs_and_sweeps_log_comes_first(name: str) -> None:
    from tests.helpers.records import make_record

    chart, picture, table, *_ = panels_of(specification(PROJECT)[name])
    line = row(make_record())
    assert set(chart["config"]["fieldSettings"].values()) <= set(line)
    assert '"result_table"' in json.dumps(chart)
    assert picture["config"]["mediaKeys"] == ["sweep/pareto_picture"]
    assert '"sweep/table"' in json.dumps(table)


def test_what_is_grouped_by_is_what_runs_carry(configured: Callable[..., RunConfig]) -> None:
    carried = settings(configured("factorization=svd", "rank=8"), Identity("ab" * 32, "run", Path("run"), "", "", {}))
    text = json.dumps(specification(PROJECT))
    shown = {word.split(".value")[0] for word in text.split("config:")[1:]}
    assert {*shown, *layout.GROUPS} <= set(carried["config"])


def test_what_is_plotted_is_what_runs_carry() -> None:
    from embfact.results.wandb.values import summary
    from embfact.runs.record import RunRecord
    from tests.helpers.records import make_values

    carried = set(summary(RunRecord.model_validate(make_values()))) | {"error"}
    text = json.dumps(specification(PROJECT))
    shown = {word.split('"')[0] for word in text.split("summary:")[1:]}
    assert shown <= carried


def test_a_dry_run_needs_neither_key_nor_network(tmp_path: Path) -> None:
    code = (
        "import socket, runpy, sys\n"
        "def refused(*_, **__): raise OSError('no network here')\n"
        "socket.socket.connect = socket.create_connection = refused\n"
        f"sys.argv = [{str(SCRIPT)!r}, 'me/embfact', '--dry-run']\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
    )
    environment = {"HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    views = json.loads(done.stdout)
    assert views["workspace"]["entity"] == "me"
    assert views["report"]["project"] == {"entityName": "me", "name": "embfact"}
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_and_a_report_are_sent(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["me/embfact", "--metric", "test/accuracy"]) == 0
    out = capsys.readouterr().out
    assert "workspace: http" in out
    assert "report: http" in out
    report, workspace = [{"spec": json.loads(view["spec"]), "type": view["type"]} for view in service.views]
    assert (workspace["type"], report["type"]) == ("project-view", "runs")
    dry = specification(PROJECT, "test/accuracy")
    for sent, shown in ((workspace, dry["workspace"]), (report, dry["report"])):
        assert [panel["config"] for panel in panels_of(sent)] == [panel["config"] for panel in panels_of(shown)]
    assert runs_of(report)["project"] == {"entityName": "me", "id": "1", "name": "embfact"}


def test_a_project_that_is_not_there_gets_nothing(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["me/other"]) == 2
    assert "no project me/other that this key can access" in capsys.readouterr().err
    assert service.views == []


@pytest.mark.parametrize("words", [["embfact"], ["me/"], ["me/embfact", "--metric"], []])
def test_words_that_are_wrong_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(words)
    except SystemExit as left:
        code = left.code
    err = capsys.readouterr().err
    assert code == 2
    assert err.startswith("wandb_workspace.py: ")
    assert len(err.splitlines()) == 1


@pytest.mark.usefixtures("no_key")
def test_without_a_key_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["me/embfact"]) == 2
    assert capsys.readouterr().err.startswith("wandb_workspace.py: no W&B key found; run `wandb login`")


def test_without_the_package_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "find_spec", lambda _: None)
    assert main(["me/embfact", "--dry-run"]) == 2
    assert 'wandb-workspaces is missing; pip install "embfact[wandb]"' in capsys.readouterr().err
