"""What a machine has to train on, told from files: only what is certain is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from embfact.config.run_config import RunConfig
from embfact.errors import ConfigError
from embfact.runs.accelerators import Supply, check_accelerators, gpus_of, supply_of, torch_build
from tests.helpers.places import CONF

NONE = torch.cuda.device_count() == 0 and not torch.backends.mps.is_available()
GOOD = ["model=bert_scratch", "logger=none", "rank=16"]


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """The folder of a driver of two GPUs."""
    for name in ("0000:00:1e.0", "0000:00:1f.0"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("build", "environment", "cuda", "rocm", "least", "most"),
    [
        ("cuda", {}, True, False, 2, 2),
        ("cuda", {"CUDA_VISIBLE_DEVICES": "1"}, True, False, 0, 1),
        ("cuda", {"CUDA_VISIBLE_DEVICES": "0,1,2"}, True, False, 0, 3),
        ("cuda", {"CUDA_VISIBLE_DEVICES": ""}, True, False, 0, 0),
        ("cuda", {"CUDA_VISIBLE_DEVICES": "-1"}, True, False, 0, 0),
        ("cuda", {}, False, True, 0, 0),
        ("hip", {}, False, True, 0, None),
        ("hip", {}, True, False, 0, 0),
        ("cpu", {}, True, True, 0, 0),
        (None, {"CUDA_VISIBLE_DEVICES": ""}, False, False, 0, None),
    ],
)
def test_what_files_and_variables_tell(
    build: str | None, environment: dict[str, str], cuda: bool, rocm: bool, least: int, most: int | None, two: Path
) -> None:
    found = gpus_of(build, environment, driver=two, rocm=rocm, cuda=cuda)
    assert (found.least, found.most) == (least, most)
    assert found.reason != "" or most in (None, 2)


def test_a_driver_that_lists_nothing_tells_nothing(tmp_path: Path) -> None:
    # As on WSL and on boards of NVIDIA's.
    assert gpus_of("cuda", {}, driver=tmp_path / "none", rocm=False, cuda=True) == Supply(0, None, "")


def test_the_build_is_that_of_the_installed_torch() -> None:
    assert torch_build() == ("hip" if torch.version.hip else "cuda" if torch.version.cuda else "cpu")


def test_what_is_certain_is_no_more_than_what_torch_finds() -> None:
    supply = supply_of("gpu")
    count = torch.cuda.device_count() or int(torch.backends.mps.is_available())
    assert supply.most is None or count <= supply.most


REFUSED = ["trainer=gpu", "trainer=gpu seed=0,1 -m", "trainer=gpu hydra/launcher=parallel -m", "trainer=gpu plan=true"]
REFUSED += ["trainer=gpu trainer.devices=2", "trainer.accelerator=cpu,gpu -m"]


@pytest.mark.skipif(not NONE, reason="there is a GPU here")
@pytest.mark.parametrize("words", REFUSED)
def test_a_gpu_that_is_not_here_is_refused_beforehand(words: str, train: Any, tmp_path: Path, files_below: Any) -> None:
    answer = train(*GOOD, *words.split(), cwd=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert "trainer.accelerator=gpu" in answer.err
    assert "trainer=cpu" in answer.err
    assert files_below(tmp_path) == {}


@pytest.mark.skipif(sys.platform == "darwin", reason="Macs may have it")
def test_devices_of_other_machines_are_refused_beforehand(train: Any, tmp_path: Path) -> None:
    for kind in ("mps", "tpu"):
        answer = train(*GOOD, f"trainer.accelerator={kind}", cwd=tmp_path)
        assert (answer.code, f"trainer.accelerator={kind}" in answer.err) == (2, True)


@pytest.mark.skipif(not NONE, reason="there is a GPU here")
def test_what_only_a_gpu_can_do_needs_one(train: Any, tmp_path: Path) -> None:
    words = ["trainer.precision=bf16-mixed", "trainer.attention=flash_attention_2"]
    answer = train(*GOOD, *words, cwd=tmp_path)
    assert (answer.code, words[1] in answer.err) == (2, True)


@pytest.mark.skipif(sys.platform == "darwin", reason="only torch knows what a Mac has")
def test_no_seconds_are_spent_on_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from embfact.cli.train import main\n"
        "print(main(Path(sys.argv[1]), sys.argv[2:]), 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(CONF), *GOOD, "trainer=gpu"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


def test_elsewhere_it_may_be_there(train: Any, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="an optional package")
    words = ["hydra/launcher=ray", "hydra.launcher.gpus_per_run=1", "-m"]
    answer = train(*GOOD, "trainer=gpu", *words, "plan=true", cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")


def test_a_configuration_can_be_looked_at_on_any_machine(train: Any, tmp_path: Path) -> None:
    answer = train("trainer=gpu", "--cfg", "job", "--package", "trainer", cwd=tmp_path)
    assert (answer.code, "accelerator: gpu" in answer.out) == (0, True)


@pytest.mark.skipif(not NONE, reason="there is a GPU here")
def test_torch_is_asked_where_nothing_else_can_tell(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from embfact.config.compose import read_request

    monkeypatch.setattr("embfact.runs.accelerators.torch_build", lambda: None)
    config: RunConfig = read_request(conf, ["trainer=gpu"], multirun=False).configs[0]
    check_accelerators([config.trainer], ask_torch=False)
    with pytest.raises(ConfigError, match=r"trainer\.accelerator=gpu.*found 0"):
        check_accelerators([config.trainer], ask_torch=True)
