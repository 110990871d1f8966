"""`trainer=ddp`: two processes train one model as one would, stop and go on together, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from embfact.runs.record import RunRecord, read
from embfact.runs.status import read_status
from tests.helpers.places import ROOT

TRAIN = ROOT / "train.py"
# 7 batches an epoch, the last one of a single row: one process has none of it.
BATCHES = ["factorization=svd", "rank=8", "data.train_size=97", "trainer.batch_size=16", "trainer.epochs=99"]
DDP = ["trainer=ddp", "trainer.accelerator=cpu"]


def run_of(folder: Path) -> Path:
    (run,) = folder.glob("*-*/")
    return run


def record_of(folder: Path) -> RunRecord:
    return read(run_of(folder))


def logits_of(folder: Path) -> np.ndarray:
    return np.array(pq.read_table(run_of(folder) / "predictions.parquet")["logits"].to_pylist())


@pytest.mark.slow
def test_two_processes_train_as_one(train: Any, tiny: list[str], tmp_path: Path) -> None:
    words = [*tiny, *BATCHES, "trainer.max_steps=20", "task.dropout=0", "optimizer.lr=1e-3"]
    for devices, more in (("one", []), ("two", DDP)):
        answer = train(*words, *more, f"output_dir={devices}", cwd=tmp_path)
        assert (answer.code, answer.err) == (0, "")
    one, two = record_of(tmp_path / "one"), record_of(tmp_path / "two")
    assert one.training is not None
    assert two.training is not None
    assert (one.training.devices, two.training.devices) == (1, 2)
    assert one.hash == two.hash
    assert one.training.steps == two.training.steps == 20
    assert one.training.epochs == two.training.epochs
    np.testing.assert_allclose(logits_of(tmp_path / "two"), logits_of(tmp_path / "one"), rtol=0, atol=1e-4)
    # They were trained at all.
    assert np.ptp(logits_of(tmp_path / "one")[:, 0]) > 1e-3


@dataclass(frozen=True)
class Training:
    """A training by two processes that goes on in the background."""

    process: subprocess.Popen[str]
    folder: Path

    def wait_for_steps(self) -> int:
        """Wait until it has taken steps; the process id of rank 1."""
        end = time.monotonic() + 120
        while not any((status := read_status(run)) and status.step for run in self.folder.glob("*-*/")):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end, "it takes too long"
            time.sleep(0.05)
        own = Path(f"/proc/{self.process.pid}/task")
        (other,) = [int(pid) for thread in own.iterdir() for pid in (thread / "children").read_text().split()]
        return other

    def finish(self) -> tuple[int, str]:
        """Exit code and standard error."""
        _, errors = self.process.communicate(timeout=240)
        return self.process.returncode, errors


@pytest.fixture
def start(tiny: list[str], tmp_path: Path) -> Iterator[Callable[..., Training]]:
    """Starts a training of some hundred steps with dropout."""
    started = []

    def do(folder: str) -> Training:
        words = [*tiny, *BATCHES, *DDP, "trainer.max_steps=300", f"output_dir={folder}"]
        command = [sys.executable, str(TRAIN), *words]
        started.append(subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True))
        return Training(started[-1], tmp_path / folder)

    yield do
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_training_that_was_interrupted_goes_on_to_the_same_bits(start: Callable[..., Training]) -> None:
    stopped = start("stopped")
    other = stopped.wait_for_steps()
    stopped.process.terminate()
    assert stopped.finish()[0] == 143
    assert not Path(f"/proc/{other}").exists()
    status = read_status(run_of(stopped.folder))
    assert status is not None
    assert status.state == "interrupted"
    again, whole = start("stopped"), start("whole")
    assert again.finish()[0] == whole.finish()[0] == 0
    record = record_of(again.folder)
    assert record.attempts == 2
    assert "resuming after step" in (run_of(again.folder) / "rank1.txt").read_text()
    np.testing.assert_array_equal(logits_of(again.folder), logits_of(whole.folder))
    left = {path.name for path in run_of(again.folder).iterdir()}
    assert left - {"rank1.txt"} == {path.name for path in run_of(whole.folder).iterdir()} - {"rank1.txt"}
    assert "run.lock" not in left


@pytest.mark.slow
def test_a_lost_process_fails_the_run_in_words(start: Callable[..., Training]) -> None:
    training = start("lost")
    os.kill(training.wait_for_steps(), signal.SIGKILL)
    code, errors = training.finish()
    assert code == 1
    record = record_of(training.folder)
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.message.startswith("process 1 of this training was killed by SIGKILL")
    assert record.error.message in errors


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["trainer.accelerator=cpu", "trainer.devices=4096"], "trainer.devices is more than the"),
        (["refactorize=every_epoch"], "refactorize=every_epoch replaces the table during training"),
        (["trainer.accelerator=mps"], "trainer.accelerator=mps trains on one device"),
    ],
)
def test_what_several_devices_cannot_do_is_refused(
    words: list[str], what: str, train: Any, tiny: list[str], tmp_path: Path
) -> None:
    answer = train(*tiny, "factorization=svd", "rank=8", "trainer=ddp", *words, cwd=tmp_path)
    assert answer.code == 2
    assert what in answer.err
    assert "use " in answer.err
    assert not list(tmp_path.iterdir())
