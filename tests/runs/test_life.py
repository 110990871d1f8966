"""What a run tells of itself while it lives, over all its attempts."""

from __future__ import annotations

import json
import logging
import os
import socket
from pathlib import Path
from typing import get_args

import pytest

from embfact.runs import life as lives
from embfact.runs.identity import Identity
from embfact.runs.life import Life, pending
from embfact.runs.status import FILE_NAME, Phase, State, Status, read_status, write_status
from tests.helpers.clock import Clock
from tests.helpers.run_directories import NAME, write_state


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    digest = "ab" * 32
    name = NAME + digest[:8]
    return Identity(digest, name, tmp_path / "runs" / name, "cd" * 32, "ef" * 32, {"seed": 0})


def told(identity: Identity) -> Status:
    status = read_status(identity.directory)
    assert status is not None
    return status


def test_a_planned_run_is_pending_and_says_what_it_is(identity: Identity) -> None:
    write_status(pending(identity), identity.directory)
    status = told(identity)
    assert (status.name, status.hash, status.state) == (identity.name, identity.hash, "pending")
    assert (status.attempt, status.seconds, status.phase, status.science) == (0, 0.0, None, {"seed": 0})
    assert [path.name for path in identity.directory.iterdir()] == [FILE_NAME]


def test_every_phase_is_told_when_it_begins(identity: Identity) -> None:
    life = Life(identity)
    status = told(identity)
    assert (status.state, status.phase, status.attempt) == ("running", "loading", 1)
    assert (status.host, status.pid) == (socket.gethostname(), os.getpid())
    for phase in get_args(Phase):
        life.enter(phase)
        assert (told(identity).state, told(identity).phase) == ("running", phase)
    assert told(identity) == life.status


@pytest.mark.parametrize("state", [state for state in get_args(State) if state not in ("pending", "running")])
def test_the_end_is_told_with_its_reason(state: State, identity: Identity) -> None:
    life = Life(identity)
    life.enter("training")
    life.end(state, "because")
    assert (told(identity).state, told(identity).message, told(identity).phase) == (state, "because", "training")


def test_steps_are_told_every_so_often(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life(identity)
    life.step(1, 40)
    assert told(identity).steps is None
    monkeypatch.setattr(lives, "EVERY", 0.0)
    life.step(2, 40)
    assert (told(identity).step, told(identity).steps) == (2, 40)
    monkeypatch.setattr(lives, "EVERY", 1000.0)
    life.step(3, 40)
    assert told(identity).step == 2
    life.step(40, 40, now=True)
    assert told(identity).step == 40


class Loss:
    """A loss on a device that has to be waited for."""

    read = 0

    def __float__(self) -> float:
        self.read += 1
        return 0.5


def test_loss_and_time_left_are_told_with_the_steps(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, loss = Clock(), Loss()
    monkeypatch.setattr("embfact.runs.life.time", clock)
    life = Life(identity)
    life.enter("training")
    clock.now = 100.0  # the first step waits for the data
    for step in range(1, 12):
        life.step(step, 40, loss)
        clock.now += 0.5
    status = told(identity)
    # Every two seconds, at half a second a step.
    assert (status.step, status.loss, status.seconds_left) == (9, 0.5, 15.5)
    assert loss.read == 3, "a device is not waited for at each step"
    life.enter("checkpointing")
    assert told(identity).seconds_left == 15.5
    life.enter("evaluating")
    assert (told(identity).loss, told(identity).seconds_left) == (0.5, None)
    assert (Life(identity).status.loss, told(identity).loss) == (None, None), "of an earlier attempt"


def test_the_last_loss_of_a_short_training_is_told_at_its_end(identity: Identity) -> None:
    life = Life(identity)
    life.step(3, 3, 0.25)
    life.step(3, 3, now=True)
    assert told(identity).loss == 0.25


def test_a_loss_that_is_not_finite_leaves_a_status_that_can_be_read(identity: Identity) -> None:
    life = Life(identity)
    life.step(1, 40, float("nan"), now=True)
    assert (told(identity).step, told(identity).loss) == (1, None)


def test_attempts_and_seconds_add_up_and_what_was_chosen_once_stays(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("embfact.runs.life.time", clock)
    write_status(pending(identity), identity.directory)
    created = told(identity).created
    first = Life(identity)
    first.use(3)
    clock.now += 5
    first.end("interrupted", "interrupted by SIGTERM")
    before = told(identity)
    assert before.seconds == 5
    write_status(before.now(seconds=100.0), identity.directory)
    second = Life(identity)
    status = told(identity)
    assert (status.attempt, status.state, status.message) == (2, "running", None)
    clock.now += 0.5
    second.enter("training")
    second.end("finished")
    status = told(identity)
    assert status.seconds == 100.5
    assert (status.threads, status.wandb_id, status.created) == (3, before.wandb_id, created)
    assert len(str(status.wandb_id)) == 8


def test_a_run_that_was_killed_keeps_its_seconds_and_its_id(identity: Identity) -> None:
    """Nobody has said goodbye: the status still claims that it is running."""
    directory = identity.directory
    write_state(directory, "running", hash=identity.hash, attempt=4, seconds=50.0, wandb_id="0a0b0c0d", pid=1)
    Life(identity)
    status = told(identity)
    assert (status.attempt, status.wandb_id, status.pid) == (5, "0a0b0c0d", os.getpid())
    assert status.seconds >= 50


def test_a_start_from_scratch_takes_nothing_over(identity: Identity) -> None:
    first = Life(identity)
    first.use(3)
    first.end("failed", "out of memory")
    second = Life(identity, afresh=True)
    assert (second.status.attempt, second.status.threads, second.status.message) == (1, None, None)
    assert second.status.wandb_id != first.status.wandb_id
    assert second.status.seconds < first.status.seconds + 1


def test_the_status_of_another_hash_is_not_taken_over(identity: Identity) -> None:
    directory = identity.directory
    write_state(directory, "interrupted", hash="cd" * 32, attempt=3, seconds=99.0, wandb_id="0a0b0c0d", threads=4)
    Life(identity)
    status = told(identity)
    assert (status.hash, status.attempt, status.threads) == (identity.hash, 1, None)
    assert status.wandb_id != "0a0b0c0d"
    assert status.seconds < 10


@pytest.mark.parametrize("content", ["", '{"name": "cut of', "[]", '{"state": "asleep"}', "\xff"])
def test_a_damaged_status_is_written_anew(content: str, identity: Identity) -> None:
    identity.directory.mkdir(parents=True)
    (identity.directory / FILE_NAME).write_text(content, encoding="latin-1")
    assert read_status(identity.directory) is None
    Life(identity).enter("caching")
    assert (told(identity).attempt, told(identity).phase) == (1, "caching")


def test_a_status_of_a_later_embfact_can_be_read(identity: Identity) -> None:
    Life(identity)
    path = identity.directory / FILE_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), "mood": "cheerful"}))
    assert told(identity).attempt == 1


def test_a_disk_that_cannot_be_written_to_does_not_stop_a_run_that_tells_of_itself(
    identity: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    (identity.directory / FILE_NAME / "in the way").mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        life = Life(identity)
        life.enter("training")
        life.step(5, 10, now=True)
    assert (life.status.phase, life.status.step) == ("training", 5)
    assert caplog.text.count("the status could not be written") == 3
    life.end("finished")
    assert life.status.state == "finished"
    assert [path.name for path in identity.directory.iterdir()] == [FILE_NAME]


def test_another_process_of_the_same_training_tells_nothing(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(identity)
    before = told(identity)
    monkeypatch.setenv("EMBFACT_RANK", "1")
    life.enter("training")
    life.step(5, 10, now=True)
    assert told(identity) == before
