"""Which sweeps a launcher is asked to do, and which are refused before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("launcher", ["basic", "parallel"])
def test_a_sweep_of_trainings_on_several_devices_is_refused(
    launcher: str, train: Any, tiny: list[str], tmp_path: Path
) -> None:
    several = ["trainer.devices=2", "trainer.strategy=ddp", f"hydra/launcher={launcher}"]
    answer = train(*tiny, *several, "output_dir=runs", "-m", cwd=tmp_path)
    assert answer.code == 2
    assert "(found trainer.devices=2)" in answer.err
    assert "leave out -m" in answer.err
    assert "hydra/launcher=submitit_slurm" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_an_option_that_a_launcher_does_not_have_is_refused(train: Any, tiny: list[str], tmp_path: Path) -> None:
    words = ["hydra/launcher=parallel", "+hydra.launcher.rnus=2", "output_dir=runs", "-m"]
    answer = train(*tiny, *words, cwd=tmp_path)
    assert answer.code == 2
    assert "hydra.launcher has no option rnus" in answer.err
    assert "did you mean 'runs'?" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_costs_its_runs_alone(train: Any, tiny: list[str], tmp_path: Path) -> None:
    # It could be written to when the sweep was checked.
    folders = f"output_dir={tmp_path}/good,{tmp_path}/other"
    from embfact.training import run as training_run

    acquire = training_run.acquire

    def refused(path: Path) -> Any:
        if "other" in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        return acquire(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_run, "acquire", refused)
        answer = train(*tiny, "factorization=none", folders, "-m", cwd=tmp_path)
    assert answer.code == 1
    assert "Permission denied" in answer.err
    assert len(list(tmp_path.glob("good/*/record.json"))) == 1
