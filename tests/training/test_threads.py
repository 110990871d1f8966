"""The number of threads is the one asked for, else the one that the run began with, else the usual one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from embfact.config.compose import read_request
from embfact.config.run_config import RunConfig
from embfact.runs.attempt import Attempt
from embfact.runs.identity import Identity
from embfact.runs.status import read_status
from embfact.training import start
from embfact.training.start import use_threads


@pytest.fixture(autouse=True)
def _usual(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr(start, "USUAL", 2)
    yield
    torch.set_num_threads(before)


def configured(conf: Path, number: int | str) -> RunConfig:
    words = ["model=bert_scratch", "logger=none", f"trainer.threads={number}"]
    return read_request(conf, words, multirun=False).configs[0]


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity("ab" * 32, "run", tmp_path / "run", "cd" * 32, "ef" * 32, {})


def begun(identity: Identity, number: int) -> Attempt:
    """An attempt at a run that has kept a checkpoint after it had begun on so many threads."""
    first = Attempt(identity, resume=True)
    first.life.use(number)
    first.states.save({}, first.notes())
    return Attempt(identity, resume=True)


@pytest.mark.parametrize(("asked", "number"), [("null", 2), (1, 1), (3, 3)])
def test_what_is_asked_for_is_used_and_recorded(asked: int | str, number: int, conf: Path, identity: Identity) -> None:
    attempt = Attempt(identity, resume=True)
    assert use_threads(configured(conf, asked), attempt) == number == torch.get_num_threads()
    status = read_status(identity.directory)
    assert status is not None
    assert status.threads == number


def test_a_run_goes_on_with_the_threads_it_began_with(
    conf: Path, identity: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    assert use_threads(configured(conf, "null"), begun(identity, 3)) == 3 == torch.get_num_threads()
    assert caplog.text == ""


def test_another_number_is_used_where_it_is_asked_for_and_its_price_told(
    conf: Path, identity: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    assert use_threads(configured(conf, 1), begun(identity, 3)) == 1
    assert "resumed on 1 threads, started on 3: the last bits of the results may differ" in caplog.text


def test_a_run_that_begins_again_is_not_bound_to_its_last_attempt(
    conf: Path, identity: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = begun(identity, 3)
    attempt.states.clear()
    again = Attempt(identity, resume=True)
    assert use_threads(configured(conf, "null"), again) == 2
    assert caplog.text == ""
