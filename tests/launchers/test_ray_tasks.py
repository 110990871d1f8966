"""Runs as tasks of Ray: on this machine, and on two nodes of which one dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from embfact.launchers.ray_tasks import RayLauncher
from embfact.launchers.sweep_task import SweepTask
from embfact.runs.record import is_finished
from embfact.runs.status import read_status
from tests.helpers.places import ROOT
from tests.helpers.stand_in import notes, planned, work

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")]
OPTIONS = {"address": None, "cpus_per_run": 1, "gpus_per_run": 0, "at_once": None, "max_retries": 1}
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture(autouse=True, scope="module")
def _ray() -> Iterator[None]:
    """A Ray that leaves no files behind, and leaves the signals of the tests alone."""
    handler = signal.getsignal(signal.SIGTERM)
    # Not a folder of pytest's: the paths of sockets have to be short.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        # Read when Ray is imported.
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", "0" * 32)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))  # where tasks find the stand-ins
        yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def do(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SweepTask]:
    """A sweep of stand-ins as tasks of a Ray of its own."""
    monkeypatch.setattr("embfact.launchers.ray_tasks.do_run", work)

    def call(folder: Path, *tags: str, fail_fast: bool = False, **options: object) -> SweepTask:
        sweep = SweepTask(planned(folder, *tags), fail_fast)
        init = {"num_cpus": 2, "object_store_memory": 80 * 2**20}
        RayLauncher(**{**OPTIONS, "init": init, **options}).do_all(sweep)
        return sweep

    return call


def test_a_task_that_dies_is_tried_again_and_then_loses_its_run_alone(do: Callable[..., SweepTask], tmp_path: Path):
    sweep = do(tmp_path, "sleep=1", "signal=9", "raise=ouch", "diverged=nan", "signal=15 sleep=9")

    states = [sweep.outcomes[number].state for number in range(5)]
    assert states == ["finished", "failed", "failed", "diverged", "failed"]
    assert "its task was lost" in sweep.outcomes[1].message
    assert "its task failed: ouch" in sweep.outcomes[2].message
    seeds = [note[0] for note in notes(tmp_path)]
    assert seeds.count("1") == 2, "the one that died was tried twice"
    assert seeds.count("4") == 2, "so was the one whose process was told to end"
    assert {note[-1] for note in notes(tmp_path)} == {"1"}, "each has the threads of its CPU"


def test_no_task_is_started_after_the_first_failure_if_that_is_asked_for(do: Callable[..., SweepTask], tmp_path: Path):
    sweep = do(tmp_path, "failed=no", "finished", "finished", fail_fast=True, at_once=1)
    assert [sweep.outcomes[number].state for number in range(3)] == ["failed", "unstarted", "unstarted"]


def test_a_cluster_that_is_not_there_is_told_in_words(do: Callable[..., SweepTask], tmp_path: Path):
    sweep = do(tmp_path, "finished", address="127.0.0.1:1")
    assert sweep.outcomes[0].state == "failed"
    assert "Ray cannot be used at 127.0.0.1:1" in sweep.outcomes[0].message


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A cluster of one node of this machine so far, with room for one run."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    try:
        yield cluster
    finally:
        cluster.shutdown()


def test_a_sweep_outlives_one_of_its_nodes(cluster: Any, tiny: list[str], tmp_path: Path):
    other, out = cluster.add_node(**NODE), tmp_path / "out"
    words = [*tiny, "factorization=svd", "rank=16,32,48,64", "baseline=false", f"output_dir={out}"]
    words += ["trainer.epochs=20", "trainer.max_steps=40", "checkpoint_every=5"]
    words += ["hydra/launcher=ray", f"hydra.launcher.address={cluster.address}"]
    command = [sys.executable, str(ROOT / "train.py"), *words, "-m"]

    # Both nodes have a run that can be gone on with.
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as sweep:
        deadline = time.monotonic() + 120
        running = False
        while not running and sweep.poll() is None and time.monotonic() < deadline:
            running = len(list(out.glob("*/resume/latest.json"))) == 2
            time.sleep(0.02)
        cluster.remove_node(other, allow_graceful=False)
        said, _ = sweep.communicate(timeout=300)

    assert running, f"the runs ended too soon\n{said}"
    assert sweep.returncode == 0, said
    places = [status.parent for status in out.glob("*/status.json")]
    statuses = [status for place in places if (status := read_status(place))]
    assert len(statuses) == 4
    assert all(is_finished(place, status.hash) for place, status in zip(places, statuses, strict=True))
    assert sorted(status.attempt for status in statuses) == [1, 1, 1, 2], "one run went on on the other node"
    assert {status.threads for status in statuses} == {1}
