"""A sweep that is killed again and again ends with the same bits as one that was left in peace."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embfact.runs.life import Life
from embfact.runs.record import read
from tests.helpers.commands import environment
from tests.helpers.places import ROOT

PAUSED = Path(__file__).with_name("paused.py")
PHASES = ("loading", "caching", "factorizing", "training", "checkpointing", "evaluating", "recording")
SMALL = ["data.train_size=96", "data.eval_size=48", "data.selection_size=32", "trainer.batch_size=8"]
SWEEP = ["trainer.max_steps=null", "trainer.epochs=2", *SMALL, "factorization=svd", "rank=8", "seed=0,1,2", "-m"]
EVERY = "checkpoint_every=3"
STARTED = 120  # seconds that a process may take to come to the phase where it is to be ended


class Sweep:
    """A sweep of six runs in a folder of its own, as processes that are ended from outside."""

    def __init__(self, folder: Path, words: list[str]) -> None:
        self.folder, self.words = folder, [*words, *SWEEP, EVERY, "output_dir=runs"]
        self.finished: dict[str, int] = {}

    def start(self, phase: str = "none") -> subprocess.Popen[str]:
        (self.folder / "marker").unlink(missing_ok=True)
        return subprocess.Popen(
            [sys.executable, str(PAUSED), "marker", phase, *self.words],
            cwd=self.folder,
            env={**os.environ, "EMBFACT_CACHE_DIR": str(self.folder / "cache"), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self, process: subprocess.Popen[str], signum: int, when: Callable[[], bool]) -> tuple[int, float, str]:
        """End a process once something is the case; gives its exit code, the seconds that took, and what it said."""
        deadline = time.monotonic() + STARTED
        while not when():
            assert process.poll() is None, f"ended too early: {process.communicate()[0]}"
            assert time.monotonic() < deadline, "never came so far"
            time.sleep(0.01)
        process.send_signal(signum)
        told = time.monotonic()
        out, _ = process.communicate(timeout=60)
        self.check_finished()
        return process.returncode, time.monotonic() - told, out

    def complete(self) -> str:
        process = self.start()
        out, _ = process.communicate(timeout=600)
        assert process.returncode == 0, out
        self.check_finished()
        return out

    @property
    def stopped(self) -> Callable[[], bool]:
        return (self.folder / "marker").exists

    def check_finished(self) -> None:
        """What was finished once is never written again."""
        now = {path.parent.name: path.stat().st_mtime_ns for path in self.folder.glob("runs/*/record.json")}
        assert now.items() >= self.finished.items()
        self.finished = now

    def results(self) -> dict[str, tuple[Any, ...]]:
        """Of each run everything that must not depend on how often it was interrupted."""
        found = {}
        for directory in self.folder.glob("runs/*/"):
            record = read(directory)
            files = [(directory / name).read_bytes() for name in ("predictions.parquet", "metrics.csv")]
            found[directory.name] = (record.metrics, record.selection, record.training, record.size, *files)
        return found

    def leftovers(self) -> list[str]:
        """Locks, temporary files and states of trainings that nobody needs any more."""
        paths = [path for part in ("runs", "cache") for path in (self.folder / part).rglob("*")]
        return [path.name for path in paths if path.suffix in (".lock", ".tmp", ".ckpt") or path.name == "resume"]


@pytest.fixture(scope="module")
def words(tiny: list[str], small_tokenizer: Path) -> list[str]:
    return [*tiny, f"model.tokenizer={small_tokenizer}"]


@pytest.fixture(scope="module")
def undisturbed(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    sweep = Sweep(tmp_path_factory.mktemp("undisturbed"), words)
    sweep.complete()
    assert len(sweep.finished) == 6
    return sweep


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_sweep_ended_in_every_phase_and_at_random_gives_the_same_bits(
    signum: int, undisturbed: Sweep, words: list[str], tmp_path: Path
) -> None:
    sweep = Sweep(tmp_path, words)
    for phase in PHASES:
        code, seconds, out = sweep.end(sweep.start(phase), signum, sweep.stopped)
        assert code == (-9 if signum == signal.SIGKILL else 143), (phase, out)
        assert seconds < 5, phase
        assert signum == signal.SIGKILL or "interrupted by SIGTERM" in out
    draw = random.Random(signum)
    for _ in range(5):
        process, moment = sweep.start("none"), time.monotonic() + draw.uniform(0.0, 12.0)
        while time.monotonic() < moment and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signum)
        process.communicate(timeout=60)
        sweep.check_finished()
    sweep.complete()
    assert sweep.results() == undisturbed.results()
    assert sweep.leftovers() == []


def test_two_sweeps_over_the_same_runs_share_the_work(words: list[str], tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, words)
    both = [sweep.start(), sweep.start()]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    logs = [path.read_text() for path in tmp_path.glob("runs/*/log.txt")]
    assert [log.count("embfact vader-bert-scratch") for log in logs] == [1] * 6
    tables = [[line for line in out.splitlines() if line.startswith("| ")] for out in said]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 4
    assert sweep.leftovers() == []


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, int], None]:
    """Have this process send itself a signal the n-th time that a run enters a phase."""
    enter = Life.enter

    def at(phase: str, count: int, signum: int) -> None:
        seen: list[str] = []

        def entering(life: Life, name: Any) -> None:
            enter(life, name)
            seen.append(name)
            if name == phase and seen.count(phase) == count:
                os.kill(os.getpid(), signum)

        monkeypatch.setattr(Life, "enter", entering)

    return at


ONE = ["trainer.max_steps=null", "trainer.epochs=3", *SMALL, "factorization=svd", "rank=8", "output_dir=runs"]


@pytest.fixture(scope="module")
def straight(train: Any, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Trains a run that nobody interrupts, once for the same options, and gives its directory."""
    made: dict[tuple[str, ...], Path] = {}

    def directory(*options: str) -> Path:
        if options not in made:
            folder = tmp_path_factory.mktemp("straight")
            assert train(*words, *ONE, *options, cwd=folder).code == 0
            (made[options],) = folder.glob("runs/*/")
        return made[options]

    return directory


@pytest.fixture(scope="module")
def teacher(train: Any, words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished dense run."""
    folder = tmp_path_factory.mktemp("teacher")
    assert train(*words, *ONE, "factorization=none", "trainer.epochs=1", cwd=folder).code == 0
    (run,) = folder.glob("runs/*/")
    return run


RATES = ["optimizer.embedding_lr=3", "optimizer.weight_decay=0"]


@pytest.mark.parametrize(
    ("options", "signum"),
    [
        ([], signal.SIGINT),
        ([], signal.SIGTERM),
        (["checkpoint=last", "trainer.accumulate=2"], signal.SIGTERM),
        (["refactorize=every_n_steps", "refactorize.steps=5", "factorization.center=true", *RATES], signal.SIGINT),
        (["trainable=factors", *RATES], signal.SIGTERM),
        # Stopped before the rest thaws, and after that.
        (["task.distill=TEACHER", "trainer.factor_epochs=1", *RATES], signal.SIGTERM),
        (["storage=int8", "quantization=aware", "trainer.patience=2"], signal.SIGTERM),
        # Nothing but first steps of epochs to save at.
        (["trainer.batch_size=96", "trainer.epochs=14"], signal.SIGINT),
    ],
)
def test_a_training_goes_on_where_it_was_interrupted(
    options: list[str],
    signum: int,
    train: Any,
    words: list[str],
    teacher: Path,
    straight: Any,
    tmp_path: Path,
    signalled: Any,
) -> None:
    options = [option.replace("TEACHER", f"'{teacher}'") for option in options]
    before = straight(*options)
    for count in (2, 3):
        signalled("training", count, signum)
        answer = train(*words, *ONE, *options, "checkpoint_every=4", cwd=tmp_path)
        assert answer.code == 128 + signum
        assert "rerun the same command to resume" in answer.err
    signalled("never", 1, signum)
    assert train(*words, *ONE, *options, "checkpoint_every=4", cwd=tmp_path).code == 0
    (after,) = tmp_path.glob("runs/*/")
    for name in ("predictions.parquet", "metrics.csv"):
        assert (before / name).read_bytes() == (after / name).read_bytes()
    one, other = read(before), read(after)
    assert (one.metrics, one.selection, one.training) == (other.metrics, other.selection, other.training)
    assert (one.attempts, other.attempts) == (1, 3)
    assert "resuming after step" in (after / "log.txt").read_text()
    assert not (after / "resume").exists()


def test_a_training_that_ends_within_an_epoch_is_not_taken_up_after_its_last_step(
    train: Any, words: list[str], tmp_path: Path, signalled: Any
) -> None:
    # Lightning would find it at its end, and leave out the last scores of the held-out slice.
    line = [*words, *ONE, "trainer.max_steps=16", "checkpoint_every=4"]
    signalled("evaluating", 1, signal.SIGTERM)
    assert train(*line, cwd=tmp_path).code == 143
    (directory,) = tmp_path.glob("runs/*/")
    log = (directory / "log.txt").read_text()
    kept = [line.rsplit(" ", 1)[1] for line in log.splitlines() if "saved after" in line]
    assert kept == ["4", "8", "12"]
    signalled("never", 1, signal.SIGTERM)
    assert train(*line, cwd=tmp_path).code == 0
    assert [entry["epoch"] for entry in read(directory).selection.history] == [0, 1]  # type: ignore[union-attr]


def test_weights_that_were_damaged_before_their_evaluation_are_trained_again(
    train: Any, words: list[str], straight: Any, tmp_path: Path, signalled: Any
) -> None:
    undisturbed = straight()
    signalled("evaluating", 1, signal.SIGTERM)
    assert train(*words, *ONE, cwd=tmp_path).code == 143
    (weights,) = tmp_path.glob("runs/*/checkpoint/model.safetensors")
    content = bytearray(weights.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    weights.write_bytes(content)
    signalled("never", 1, signal.SIGTERM)
    answer = train(*words, *ONE, cwd=tmp_path)
    assert answer.code == 0
    assert "the weights of the interrupted run are damaged" in answer.err
    (again,) = tmp_path.glob("runs/*/")
    assert (again / "predictions.parquet").read_bytes() == (undisturbed / "predictions.parquet").read_bytes()


def test_without_resume_an_interrupted_run_starts_again(
    train: Any, words: list[str], tmp_path: Path, signalled: Any
) -> None:
    signalled("training", 2, signal.SIGTERM)
    assert train(*words, *ONE, "checkpoint_every=4", cwd=tmp_path).code == 143
    signalled("never", 1, signal.SIGTERM)
    assert train(*words, *ONE, "resume=false", cwd=tmp_path).code == 0
    (directory,) = tmp_path.glob("runs/*/")
    assert "resuming after step" not in (directory / "log.txt").read_text()
    assert read(directory).attempts == 1


def test_what_is_trained_is_not_trained_again_for_its_evaluation(
    train: Any, words: list[str], tmp_path: Path, signalled: Any
) -> None:
    signalled("evaluating", 1, signal.SIGTERM)
    assert train(*words, *ONE, cwd=tmp_path).code == 143
    (directory,) = tmp_path.glob("runs/*/")
    weights = (directory / "checkpoint" / "model.safetensors").stat().st_mtime_ns
    signalled("training", 1, signal.SIGTERM)  # that it is trained again would end it
    assert train(*words, *ONE, cwd=tmp_path).code == 0
    assert (directory / "checkpoint" / "model.safetensors").stat().st_mtime_ns == weights
    assert read(directory).training.steps > 0


def test_a_damaged_checkpoint_is_told_and_the_run_starts_again(
    train: Any, words: list[str], tmp_path: Path, signalled: Any
) -> None:
    signalled("training", 2, signal.SIGTERM)
    assert train(*words, *ONE, "checkpoint_every=4", cwd=tmp_path).code == 143
    (state,) = tmp_path.glob("runs/*/resume/*.ckpt")
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
    signalled("never", 1, signal.SIGTERM)
    answer = train(*words, *ONE, cwd=tmp_path)
    assert answer.code == 0
    assert "the checkpoint of the interrupted training is damaged; training restarts from scratch" in answer.err
    assert read(next(tmp_path.glob("runs/*/"))).status == "finished"


def test_ctrl_c_while_the_command_is_imported_is_no_traceback(tmp_path: Path) -> None:
    words = [sys.executable, "-X", "importtime", str(ROOT / "train.py"), "factorization=svd", "rank=4"]
    process = subprocess.Popen(words, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        if not line.startswith("import time:"):
            said.append(line)
        elif line.split()[-1] == "omegaconf":
            process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert [line for line in said if line.strip()] == ["embfact: interrupted before anything was started\n"]
    assert not list(tmp_path.iterdir())
