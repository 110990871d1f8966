"""Cores and GPUs are divided among runs, and never given out twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from embfact.config.compose import read_request
from embfact.config.run_config import RunConfig
from embfact.launchers.slots import Slot, errors, lay_out
from embfact.runs.accelerators import visible_gpus
from tests.helpers.places import CONF

TWO_GPUS = ("0", "GPU-5f3a")


def configs(count: int, *words: str) -> Sequence[RunConfig]:
    seeds = ",".join(map(str, range(count)))
    common = ["model=bert_scratch", "output_dir=/nonexistent/runs", f"seed={seeds}"]
    return read_request(CONF, [*common, *words], multirun=True).configs


@pytest.mark.parametrize(
    ("runs", "pending", "words", "cores", "count", "threads"),
    [
        (None, 12, [], 2, 2, 1),
        (None, 12, [], 8, 8, 1),
        (None, 3, [], 8, 3, 1),
        (None, 12, ["trainer.threads=4"], 9, 2, 4),
        (None, 12, [], 1, 1, 1),
        (2, 12, [], 8, 2, 4),
        (3, 12, [], 8, 3, 2),
        (2, 12, ["trainer.threads=1"], 8, 2, 4),
        (2, 1, [], 8, 1, 4),
    ],
)
def test_cores_are_divided_among_the_runs(
    runs: int | None, pending: int, words: list[str], cores: int, count: int, threads: int
):
    asked = configs(pending, "trainer=cpu", *words)
    slots = lay_out(runs, asked, cores, ())
    assert slots == [Slot(threads)] * count
    assert sum(slot.threads for slot in slots) <= cores
    assert not errors({"runs": runs}, asked, cores, ())


def test_each_run_has_a_gpu_of_its_own():
    slots = lay_out(None, configs(12), 8, TWO_GPUS)
    assert slots == [Slot(4, "0"), Slot(4, "GPU-5f3a")]
    assert slots[1].environment["CUDA_VISIBLE_DEVICES"] == "GPU-5f3a"
    assert [slot.gpu for slot in lay_out(1, configs(12), 8, TWO_GPUS)] == ["0"]


def test_runs_on_the_cpu_leave_gpus_alone():
    slots = lay_out(None, configs(12, "trainer=cpu"), 4, TWO_GPUS)
    assert slots == [Slot(1)] * 4
    assert "CUDA_VISIBLE_DEVICES" not in slots[0].environment


@pytest.mark.parametrize(
    ("options", "words", "cores", "gpus", "parts"),
    [
        ({"runs": 3}, [], 2, (), ["hydra.launcher.runs=3", "2 cores", "set hydra.launcher.runs=2"]),
        ({"runs": 2}, ["trainer.threads=2"], 2, (), ["set hydra.launcher.runs=1 or trainer.threads=1"]),
        ({"runs": 4}, ["trainer.threads=4"], 2, (), ["set hydra.launcher.runs=2 trainer.threads=1"]),
        ({"runs": None}, ["trainer.threads=3"], 2, (), ["runs=null trainer.threads=3", "set trainer.threads=2"]),
        ({"runs": 3}, [], 8, TWO_GPUS, ["needs a GPU, but there are only 2", "runs=2, or trainer=cpu"]),
        ({"runs": 0}, [], 2, (), ["1 or more", "found 0"]),
        ({"runs": True}, [], 2, (), ["a number of runs"]),
        ({"runs": "both"}, [], 2, (), ["found both"]),
    ],
)
def test_too_much_is_refused_with_the_remedy(
    options: dict[str, Any], words: list[str], cores: int, gpus: tuple[str, ...], parts: list[str]
):
    (detail,) = errors(options, configs(2, *words), cores, gpus)
    assert all(part in str(detail) for part in parts), str(detail)


@pytest.mark.parametrize(
    ("environment", "gpus"),
    [
        ({}, ("0", "1")),
        ({"CUDA_VISIBLE_DEVICES": "1"}, ("1",)),
        ({"CUDA_VISIBLE_DEVICES": " 3, MIG-8a ,"}, ("3", "MIG-8a")),
        ({"CUDA_VISIBLE_DEVICES": "0,-1,1"}, ("0",)),
        ({"CUDA_VISIBLE_DEVICES": ""}, ()),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, ()),
    ],
)
def test_gpus_are_those_that_cuda_would_find(tmp_path: Path, environment: dict[str, str], gpus: tuple[str, ...]):
    (tmp_path / "0000:00:1e.0").mkdir()
    (tmp_path / "0000:00:1f.0").mkdir()
    assert visible_gpus(environment, tmp_path) == gpus
    assert visible_gpus({}, tmp_path / "no driver") == ()
