"""Runs as jobs of submitit: each on its own, and gone on with after a preemption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from embfact.launchers.submitit_jobs import LocalLauncher
from embfact.launchers.sweep_task import SweepTask
from embfact.runs.record import read
from embfact.runs.status import read_status
from tests.helpers.places import ROOT
from tests.helpers.stand_in import notes, planned, work

pytest.importorskip("submitit")
OPTIONS = {"folder": None, "timeout_min": 5, "max_num_timeout": 2, "cpus_per_task": 1, "array_parallelism": 4}


@pytest.fixture
def do(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SweepTask]:
    """A sweep of stand-ins as jobs of this machine."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # where the jobs find the stand-ins
    monkeypatch.setattr("embfact.launchers.submitit_jobs.do_run", work)

    def call(folder: Path, *tags: str, fail_fast: bool = False, **options: object) -> SweepTask:
        sweep = SweepTask(planned(folder, *tags), fail_fast)
        LocalLauncher(**{**OPTIONS, **options}).do_all(sweep)
        return sweep

    return call


def test_a_job_that_dies_loses_its_run_alone_and_its_log_is_named(do: Callable[..., SweepTask], tmp_path: Path):
    sweep = do(tmp_path, "sleep=1", "running signal=9", "raise=ouch", "diverged=nan")

    states = [sweep.outcomes[number].state for number in range(4)]
    assert states == ["finished", "failed", "failed", "diverged"]
    killed, raised = sweep.outcomes[1].message, sweep.outcomes[2].message
    assert "its process was killed" in killed
    assert "ouch" in raised
    for message in (killed, raised):
        assert Path(message.rpartition("log of the job: ")[2].rstrip(")")).is_file()


def test_jobs_work_where_the_sweep_was_started_with_as_many_threads_as_cpus(
    do: Callable[..., SweepTask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    sweep = do(Path("out"), "finished", "finished", cpus_per_task=3, array_parallelism=None)

    assert [sweep.outcomes[number].state for number in range(2)] == ["finished", "finished"]
    assert [note[-1] for note in notes(tmp_path / "out")] == ["3", "3"]


def test_no_job_is_started_after_the_first_failure_if_that_is_asked_for(do: Callable[..., SweepTask], tmp_path: Path):
    sweep = do(tmp_path, "failed=no", "finished", "finished", fail_fast=True, array_parallelism=1)
    assert [sweep.outcomes[number].state for number in range(3)] == ["failed", "unstarted", "unstarted"]
    assert len(notes(tmp_path)) == 1


@pytest.mark.slow
def test_a_preempted_job_goes_on_a_killed_one_is_told_and_the_same_command_does_the_rest(
    tiny: list[str], tmp_path: Path
):
    words = [*tiny, "factorization=svd", "rank=16,32", "baseline=false", f"output_dir={tmp_path / 'out'}"]
    words += ["trainer.epochs=20", "trainer.max_steps=40", "checkpoint_every=5", "hydra/launcher=submitit_local"]
    command = [sys.executable, str(ROOT / "train.py"), *words, "hydra.launcher.array_parallelism=2", "-m"]
    signals = {"-r16-": signal.SIGUSR2, "-r32-": signal.SIGKILL}  # what Slurm sends before it preempts, and worse

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as sweep:
        while signals and sweep.poll() is None:
            for place in (tmp_path / "out").glob("*/resume/latest.json"):
                status = read_status(place.parents[1])
                name = next((name for name in signals if name in place.parents[1].name), None)
                if name and status and status.pid:
                    os.kill(status.pid, signals.pop(name))
            time.sleep(0.02)
        out, err = sweep.communicate(timeout=300)

    assert not signals, f"the runs ended too soon\n{out}{err}"
    assert sweep.returncode == 1, err
    assert "its process was killed" in err
    statuses = {path.parent.name: json.loads(path.read_text()) for path in (tmp_path / "out").glob("*/status.json")}
    preempted, killed = sorted(statuses)
    assert (statuses[preempted]["state"], statuses[preempted]["attempt"]) == ("finished", 2)

    again = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    assert "1 of 2 runs are already finished" in again.stdout
    for name in (preempted, killed):
        status = read_status(tmp_path / "out" / name)
        assert status
        assert (status.state, status.attempt) == ("finished", 2)
        record = read(tmp_path / "out" / name)
        assert record.training is not None
        assert record.training.steps == 40
        assert record.training.threads == 1
