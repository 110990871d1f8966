"""What Slurm is asked for, and what is made of its answers; its commands are stand-ins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from embfact.launchers.slurm import COMMANDS, SlurmLauncher
from embfact.launchers.sweep_task import SweepTask
from tests.helpers.commands import Answer
from tests.helpers.stand_in import planned

pytest.importorskip("submitit")


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conf: Path) -> Callable[..., SweepTask]:
    """A sweep through a Slurm that only notes what it is asked for, and says of its jobs what it was told to."""
    commands = tmp_path / "bin"
    commands.mkdir()
    answers = {
        "sbatch": f'cp "$1" {tmp_path}/script; [ -e {tmp_path}/refuse ] && cat {tmp_path}/refuse >&2 && exit 1; '
        "echo Submitted batch job 7",
        "sacct": f"cat {tmp_path}/states",
        "scancel": f'echo "$@" >> {tmp_path}/cancelled',
    }
    for name in COMMANDS:
        (commands / name).write_text(f"#!/bin/sh\n{answers.get(name, 'exit 1')}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=":")
    monkeypatch.setattr(SlurmLauncher, "poll", 0.01)
    monkeypatch.setattr(SlurmLauncher, "grace", 0.0)
    options = yaml.safe_load((conf / "hydra" / "launcher" / "submitit_slurm.yaml").read_text())
    del options["_target_"]

    def call(states: str, *tags: str, fail_fast: bool = False, **more: object) -> SweepTask:
        lines = [f"7_{number}|{state}|node" for number, state in enumerate(states.split())]
        (tmp_path / "states").write_text("\n".join(["JobID|State|NodeList", *lines]) + "\n")
        sweep = SweepTask(planned(tmp_path / "out", *tags), fail_fast)
        SlurmLauncher(**{**options, **more}).do_all(sweep)
        return sweep

    return call


def test_a_sweep_is_one_array_of_jobs_with_what_was_asked_for(slurm: Callable[..., SweepTask], tmp_path: Path):
    slurm("FAILED FAILED", "", "", partition="gpu", cpus_per_task=3, gpus_per_node=1, mem_gb=8, timeout_min=90)

    script = (tmp_path / "script").read_text()
    for line in ("array=0-1%2", "partition=gpu", "cpus-per-task=3", "gpus-per-node=1", "mem=8GB", "time=90", "requeue"):
        assert f"#SBATCH --{line}\n" in script
    assert "#SBATCH --signal=USR2@90\n" in script
    # Without it, the run would be bound to one CPU by some releases of Slurm.
    assert "--cpus-per-task=3" in next(line for line in script.splitlines() if line.startswith("srun"))
    assert "account" not in script, "what is null is left to the cluster"


def test_a_job_that_slurm_ended_is_a_failed_run_with_the_reason(slurm: Callable[..., SweepTask]):
    sweep = slurm("OUT_OF_MEMORY NODE_FAIL", "", "")
    assert [sweep.outcomes[number].state for number in range(2)] == ["failed", "failed"]
    assert "OUT_OF_MEMORY" in sweep.outcomes[0].message
    assert "NODE_FAIL" in sweep.outcomes[1].message


def test_the_first_failure_takes_back_the_jobs_that_wait(slurm: Callable[..., SweepTask], tmp_path: Path):
    sweep = slurm("TIMEOUT CANCELLED CANCELLED", "", "", "", fail_fast=True)
    assert [sweep.outcomes[number].state for number in range(3)] == ["failed", "unstarted", "unstarted"]
    assert (tmp_path / "cancelled").read_text() == "--state=PENDING 7\n"


def test_a_refusal_is_told_in_the_words_of_slurm(slurm: Callable[..., SweepTask], tmp_path: Path):
    (tmp_path / "refuse").write_text("sbatch: error: invalid partition specified: nowhere\n")
    sweep = slurm("", "", "", partition="nowhere")
    assert [sweep.outcomes[number].state for number in range(2)] == ["failed", "failed"]
    assert "invalid partition specified: nowhere" in sweep.outcomes[0].message


def test_a_machine_without_slurm_is_told_before_anything_is_started(
    train: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = train("rank=16,32", f"output_dir={tmp_path / 'out'}", "hydra/launcher=submitit_slurm", "-m", cwd=tmp_path)
    assert answer.code == 2
    assert "no sbatch" in answer.err
    assert "hydra/launcher=submitit_local" in answer.err
