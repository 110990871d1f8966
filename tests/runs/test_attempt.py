"""An attempt goes on with what an earlier one of the same run has left, and with nothing else."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from embfact.runs.attempt import Attempt
from embfact.runs.identity import Identity
from embfact.runs.status import read_status
from embfact.system.signals import Interrupted, held_back, interruptible
from tests.helpers.clock import Clock

Interrupt = Callable[[], Attempt]


def identity_in(folder: Path, digest: str = "ab" * 32) -> Identity:
    return Identity(digest, "run", folder / "run", "cd" * 32, "ef" * 32, {})


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("embfact.system.resources.time", clock)
    return clock


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return identity_in(tmp_path)


@pytest.fixture
def interrupt(identity: Identity, clock: Clock) -> Interrupt:
    """Makes an attempt that comes to a checkpoint, and then to saved weights."""

    def interrupted() -> Attempt:
        attempt = Attempt(identity, resume=True)
        weights = identity.directory / "checkpoint" / "model.safetensors"
        weights.parent.mkdir(exist_ok=True)
        weights.write_bytes(bytes(1000))
        with attempt.phase("factorizing", "factorization"), attempt.phase("training", "training"):
            clock.now += 5
        attempt.states.save({"step": torch.tensor(7)}, attempt.notes())
        attempt.life.end("interrupted", "interrupted by SIGTERM")
        return attempt

    return interrupted


def test_the_first_attempt_starts_from_nothing(identity: Identity) -> None:
    attempt = Attempt(identity, resume=True)
    assert (attempt.state, attempt.trained(), attempt.resumes) == (None, None, False)
    assert attempt.life.status.attempt == 1
    assert attempt.watch.seconds()["total"] == 0


def test_the_next_attempt_has_the_state_the_seconds_and_the_peak_of_its_training(
    identity: Identity, interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embfact.runs.attempt.peak_memory", lambda: 7000)
    first = interrupt()
    monkeypatch.setattr("embfact.runs.attempt.peak_memory", lambda: 100)
    second = Attempt(identity, resume=True)
    assert second.resumes
    assert second.state is not None
    assert torch.load(second.state, weights_only=True) == {"step": torch.tensor(7)}
    seconds = second.watch.seconds()
    assert seconds["training"] == first.notes()["seconds"]["training"] == 5
    # What is done again is not counted twice.
    assert "factorization" not in seconds
    assert seconds["total"] == 5
    assert second.peak_memory == 7000
    assert second.life.status.attempt == 2


def test_once_the_weights_are_saved_nothing_is_trained_again(identity: Identity, interrupt: Interrupt) -> None:
    first = interrupt()
    first.note_trained({"rank": 8})
    second = Attempt(identity, resume=True)
    assert second.resumes
    assert (second.state, second.trained()) == (None, {"rank": 8})
    assert {"factorization", "training"} <= set(second.watch.seconds())


@pytest.mark.parametrize("damage", ["cut", "flipped", "lost", "removed"])
def test_saved_weights_that_are_damaged_are_trained_again(
    damage: str, identity: Identity, interrupt: Interrupt, caplog: pytest.LogCaptureFixture
) -> None:
    first = interrupt()
    weights = identity.directory / "checkpoint" / "model.safetensors"
    weights.with_name("config.json").write_text("{}")
    first.note_trained({"rank": 8})
    assert Attempt(identity, resume=True).trained() == {"rank": 8}
    if damage == "cut":
        weights.write_bytes(bytes(990))
    elif damage == "flipped":
        weights.write_bytes(bytes(999) + b"\1")
    elif damage == "lost":
        weights.unlink()
    else:
        shutil.rmtree(weights.parent)
    again = Attempt(identity, resume=True)
    assert (again.trained(), again.resumes) == (None, False)
    assert "training" not in again.watch.seconds()
    assert "the weights of the interrupted run are damaged; training restarts from scratch" in caplog.text


def test_without_resume_everything_begins_again(identity: Identity, interrupt: Interrupt) -> None:
    interrupt()
    again = Attempt(identity, resume=False)
    assert (again.state, again.resumes, again.life.status.attempt) == (None, False, 1)
    assert "training" not in again.watch.seconds()
    assert not again.states.folder.exists()


def test_the_state_of_another_run_is_not_taken(identity: Identity, interrupt: Interrupt, tmp_path: Path) -> None:
    """Two hashes may begin alike, and so share a directory."""
    interrupt().note_trained({"rank": 8})
    other = Attempt(identity_in(tmp_path, "ba" * 32), resume=True)
    assert (other.state, other.trained(), other.resumes) == (None, None, False)
    assert not other.states.folder.exists()


def test_a_damaged_state_is_removed_and_its_seconds_do_not_count(identity: Identity, interrupt: Interrupt) -> None:
    first = interrupt()
    path = first.states.state()
    assert path is not None
    path.write_bytes(path.read_bytes()[:-10])
    second = Attempt(identity, resume=True)
    assert (second.state, second.resumes) == (None, False)
    assert "training" not in second.watch.seconds()
    assert not second.states.folder.exists()
    assert second.life.status.attempt == 2


def test_a_signal_that_was_held_back_ends_the_run_at_its_next_phase(identity: Identity) -> None:
    attempt = Attempt(identity, resume=True)
    reached = []
    with interruptible():
        with suppress(ZeroDivisionError), held_back():
            signal.raise_signal(signal.SIGTERM)
            raise ZeroDivisionError
        with pytest.raises(Interrupted), attempt.phase("evaluating", "evaluation"):
            reached.append(1)
    status = read_status(identity.directory)
    assert status is not None
    assert (reached, status.phase) == ([], "loading")
