"""Launchers over several machines, as far as they can be looked at without their engines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from embfact import errors
from embfact.config.compose import read_request
from embfact.config.sections import Section
from embfact.launchers.base import OwnLauncher
from embfact.launchers.ray_tasks import RayOptions
from embfact.launchers.remote import attempts, enter, missed, with_threads
from embfact.launchers.slurm import SlurmOptions
from embfact.launchers.submitit_jobs import LocalOptions
from embfact.runs.status import read_status
from tests.helpers.commands import Answer
from tests.helpers.places import CONF, ROOT
from tests.helpers.stand_in import planned, tell

ENGINES = {
    "submitit_slurm": ("submitit", "slurm", SlurmOptions),
    "submitit_local": ("submitit", "slurm", LocalOptions),
    "ray": ("ray", "ray", RayOptions),
}
Train = Callable[..., Answer]


@pytest.mark.parametrize("name", ENGINES)
def test_a_missing_engine_is_told_with_the_command_that_installs_it(
    name: str, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    module, extra, _ = ENGINES[name]
    monkeypatch.setattr(errors, "find_spec", lambda wanted: None if wanted == module else find_spec(wanted))

    answer = train("rank=16,32", f"output_dir={tmp_path / 'out'}", f"hydra/launcher={name}", "-m", cwd=tmp_path)

    assert answer.code == 2
    assert f"pip install 'embfact[{extra}]'" in answer.err
    assert "Traceback" not in answer.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ENGINES)
def test_the_configuration_of_a_launcher_has_every_option_and_values_that_are_valid(name: str, conf: Path):
    values = yaml.safe_load((conf / "hydra" / "launcher" / f"{name}.yaml").read_text())
    module, _, cls = values.pop("_target_").rpartition(".")
    options: type[Section] = ENGINES[name][2]

    assert issubclass(getattr(import_module(module), cls), OwnLauncher)
    assert list(values) != []
    assert set(values) == set(options.model_fields)
    options.model_validate(values)


def test_an_engine_is_not_imported_to_find_out_whether_it_is_there(tmp_path: Path):
    words = ["factorization=none", "baseline=false", f"output_dir={tmp_path}", "plan=true", "-m"]
    program = (
        "import sys; from pathlib import Path; from embfact.cli.train import main\n"
        f"for name in {[*ENGINES]}:\n"
        f"    main(Path({str(ROOT / 'conf')!r}), [f'hydra/launcher={{name}}', *{words}])\n"
        "    print(sorted({'torch', 'ray', 'submitit'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.count("[]") == len(ENGINES), found.stdout + found.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    {
        "a value of the wrong kind": (["hydra.launcher.cpus_per_run=no"], "hydra.launcher.cpus_per_run"),
        "a value too small": (["hydra.launcher.max_retries=-1"], "hydra.launcher.max_retries"),
        "more threads than CPUs": (["trainer.threads=4"], "hydra.launcher.cpus_per_run=4"),
        "no GPU": (["trainer=gpu"], "hydra.launcher.gpus_per_run=1"),
    }.values(),
)
def test_a_share_that_cannot_do_is_refused_before_anything_is_started(
    words: list[str], said: str, train: Train, tmp_path: Path
):
    needs("ray")
    answer = train("rank=16,32", f"output_dir={tmp_path / 'out'}", "hydra/launcher=ray", *words, "-m", cwd=tmp_path)
    assert answer.code == 2
    assert said in answer.err


def test_threads_of_a_run_are_its_cpus_and_change_neither_hash_nor_what_was_asked_for(tmp_path: Path):
    (run,) = planned(tmp_path, "finished")
    sent = with_threads(run, 3)
    assert sent.config.trainer.threads == 3
    assert sent.identity == run.identity

    asked = read_request(CONF, ["trainer.threads=2", "rank=16"], multirun=False).configs[0]
    assert with_threads(type(run)(asked, None), 3).config.trainer.threads == 2


def test_a_run_that_got_no_gpu_sees_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(Path.cwd())  # what follows changes both
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    enter(str(tmp_path), 1)
    assert (Path.cwd(), os.environ["CUDA_VISIBLE_DEVICES"]) == (tmp_path, "0,1")
    enter(str(tmp_path), 0)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_a_missed_run_tells_what_its_status_says_only_if_it_had_begun(tmp_path: Path):
    (run,) = planned(tmp_path, "finished")
    assert missed(run, attempts(run), "gone").state == "failed"

    tell(run, state="interrupted", message="by SIGTERM", attempt=1)
    assert missed(run, 0, "gone").state == "interrupted"
    assert missed(run, 0, "gone").message == "by SIGTERM"
    before = attempts(run)
    assert (missed(run, before, "gone").state, missed(run, before, "gone").message) == ("failed", "gone")


@pytest.mark.parametrize("engine", ["submitit_local", pytest.param("ray", marks=pytest.mark.slow)])
def test_ctrl_c_stops_every_run_and_each_says_so(engine: str, tmp_path: Path):
    needs(ENGINES[engine][0])
    # In short pieces: Ray interrupts a task between two steps of Python, not within a call of the system.
    tags = [" ".join(["running", *["sleep=0.1"] * 600])] * 3
    command = [sys.executable, "-m", "tests.launchers.interrupted_sweep", engine, str(tmp_path), *tags]
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        ray = {"RAY_TMPDIR": folder, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 32}
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **ray}
        # As in a terminal, where the signal reaches every process of the command.
        sweep = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
        running = eventually(lambda: len(list(tmp_path.glob("*/status.json"))) == 2 or sweep.poll() is not None)
        os.killpg(sweep.pid, signal.SIGINT)
        assert running
        assert sweep.wait(timeout=30) == 130

    statuses = [status for file in tmp_path.glob("*/status.json") if (status := read_status(file.parent))]
    assert [status.state for status in statuses] == ["interrupted", "interrupted"], "and the third was never begun"
    assert eventually(lambda: not any(Path(f"/proc/{status.pid}").exists() for status in statuses))


def needs(module: str) -> None:
    """Skip a test where an engine is not installed; Ray must not be imported before its own tests set it up."""
    if find_spec(module) is None:
        pytest.skip(f"needs {module}")


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether a condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()
