"""``scripts/table.py --from wandb:...``: the same table as from the disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from embfact.results.wandb.values import outcome
from embfact.runs.record import RunRecord, write
from tests.helpers.places import ROOT
from tests.helpers.records import make_values
from tests.helpers.wandb_service import Service

SCRIPT = ROOT / "scripts" / "table.py"


def table(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False)


def test_the_table_of_a_project_is_that_of_its_runs(service: Service, tmp_path: Path) -> None:
    for method, rank in (("none", None), ("svd", 64)):
        for seed in (0, 1):
            record = RunRecord.model_validate(make_values(method=method, rank=rank, seed=seed))
            write(record, tmp_path / "runs" / record.name)
            service.add(record.name, {"hash": record.hash, "method": method, **outcome(record)})
    there, here = table("--from", "wandb:me/embfact"), table(str(tmp_path / "runs"))
    assert (there.returncode, there.stdout) == (0, here.stdout)
    # Predictions stay with the runs: what needs them is told, not left out in silence.
    tested = table("--from", "wandb:me/embfact", "--significance")
    assert tested.returncode == 0
    assert "predictions" in tested.stdout
