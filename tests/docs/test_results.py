"""The committed reports can be made again from the committed records and predictions, without any data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from embfact.cli.report import main
from tests.helpers.places import ROOT

RESULTS = ROOT / "docs" / "results"
RUNS = sorted(path for path in (RESULTS / "runs").glob("*/"))


def test_there_are_runs() -> None:
    assert RUNS


@pytest.mark.parametrize("runs", RUNS, ids=lambda path: path.name)
def test_a_report_is_that_of_its_runs(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBFACT_DATA_DIR", str(tmp_path / "no data here"))
    assert main([str(runs), "--light", "--output", str(tmp_path / "report")]) == 0
    made, committed = (
        {path.name for path in folder.iterdir()} for folder in (tmp_path / "report", RESULTS / runs.name)
    )
    assert made == committed
    for name in sorted(made):
        if not name.endswith(".svg"):
            assert (tmp_path / "report" / name).read_text() == (RESULTS / runs.name / name).read_text(), name
