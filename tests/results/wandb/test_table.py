"""``scripts/table.py --from wandb:...``: the same table as from the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from embfact.cli.table import main
from embfact.results.wandb.values import outcome
from embfact.runs.record import RunRecord, write
from tests.helpers.records import make_values
from tests.helpers.wandb_service import Service


def test_the_table_of_a_project_is_that_of_its_runs(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def table(*words: str) -> tuple[int, str]:
        return main(list(words)), capsys.readouterr().out

    for method, rank in (("none", None), ("svd", 64)):
        for seed in (0, 1):
            record = RunRecord.model_validate(make_values(method=method, rank=rank, seed=seed))
            write(record, tmp_path / "runs" / record.name)
            service.add(record.name, {"hash": record.hash, "method": method, **outcome(record)})
    here = table(str(tmp_path / "runs"))
    assert here[0] == 0
    assert table("--from", "wandb:me/embfact") == here
    # Predictions stay with the runs: what needs them is told, not left out in silence.
    code, tested = table("--from", "wandb:me/embfact", "--significance")
    assert code == 0
    assert "predictions" in tested
