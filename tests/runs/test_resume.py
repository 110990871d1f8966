"""What an interrupted training leaves is whole or counts for nothing, and its random numbers go on as they were."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from embfact.runs import resume
from embfact.runs.resume import NOTE, Resumable, random_state, restore_random


@pytest.fixture
def states(tmp_path: Path) -> Resumable:
    return Resumable(tmp_path / "run")


def content(path: Path | None) -> Any:
    assert path is not None
    return torch.load(path, weights_only=True)


def names(states: Resumable) -> list[str]:
    return sorted(path.name for path in states.folder.iterdir())


def test_nothing_is_there_before_anything_was_kept(states: Resumable) -> None:
    assert states.state() is None
    assert states.notes() == {}
    states.clear()
    assert not states.folder.exists()


def test_the_newest_state_and_its_notes_come_back(states: Resumable) -> None:
    for step in range(4):
        states.save({"step": step, "weights": torch.full((3,), float(step))}, {"seconds": {"training": step / 2}})
        found = content(Resumable(states.folder.parent).state())
        assert found["step"] == step
        assert torch.equal(found["weights"], torch.full((3,), float(step)))
        assert states.notes() == {"seconds": {"training": step / 2}}
        # Of the states before nothing is left.
        assert len(names(states)) == 2


def test_notes_alone_take_the_place_of_a_state(states: Resumable) -> None:
    states.save({"step": 1}, {"hash": "ab"})
    states.note({"hash": "ab", "trained": {"rank": 8}})
    assert states.state() is None
    assert states.notes() == {"hash": "ab", "trained": {"rank": 8}}
    assert names(states) == [NOTE]


def test_a_state_can_be_kept_again_after_notes_alone(states: Resumable) -> None:
    states.note({"trained": {}})
    states.save({"step": 1}, {})
    assert content(states.state()) == {"step": 1}
    assert states.notes() == {}


def test_to_clear_leaves_nothing(states: Resumable) -> None:
    states.save({"step": 1}, {"hash": "ab"})
    states.clear()
    assert not states.folder.exists()
    assert (states.state(), states.notes()) == (None, {})


class KilledError(BaseException):
    """Stands for a process that ends here and now."""


def test_a_process_killed_between_a_state_and_its_note_leaves_the_state_before(
    states: Resumable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: Any, **options: Any) -> None:
        raise KilledError

    states.save({"step": 1}, {"seconds": 1})
    for _ in range(2):  # and again: the state before is never written over
        with monkeypatch.context() as patch:
            patch.setattr(resume, "write_text", killed)
            with pytest.raises(KilledError):
                states.save({"step": 2}, {"seconds": 2})
        assert content(states.state()) == {"step": 1}
        assert states.notes() == {"seconds": 1}
    states.save({"step": 3}, {"seconds": 3})
    assert content(states.state()) == {"step": 3}
    assert len(names(states)) == 2


def test_a_state_that_finds_no_room_leaves_the_state_before(states: Resumable, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(state: Any, file: Any) -> None:
        file.write(b"the first half")
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    states.save({"step": 1}, {})
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match="could not be written"):
            states.save({"step": 2}, {})
    assert content(states.state()) == {"step": 1}
    assert len(names(states)) == 2


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_flipped_bit_is_found_out(place: int, states: Resumable, caplog: pytest.LogCaptureFixture) -> None:
    states.save({"weights": torch.ones(1000)}, {})
    path = states.state()
    assert path is not None
    damaged = bytearray(path.read_bytes())
    damaged[place * (len(damaged) - 1) // 3] ^= 1
    path.write_bytes(damaged)
    assert states.state() is None
    assert "is damaged; training restarts from scratch" in caplog.text


def test_a_state_that_was_cut_off_or_lost_is_found_out(states: Resumable, caplog: pytest.LogCaptureFixture) -> None:
    states.save({"weights": torch.ones(1000)}, {})
    path = states.state()
    assert path is not None
    path.write_bytes(path.read_bytes()[:-1])
    assert states.state() is None
    path.unlink()
    assert states.state() is None
    assert caplog.text.count("is damaged") == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '"a.ckpt"', '{"notes": 3}', "\x00\xff"])
def test_a_damaged_note_names_no_state(text: str, states: Resumable) -> None:
    states.save({"step": 1}, {"hash": "ab"})
    (states.folder / NOTE).write_text(text, encoding="latin-1")
    assert (states.state(), states.notes()) == (None, {})
    states.save({"step": 2}, {})
    assert content(states.state()) == {"step": 2}


def draws() -> list[Any]:
    """Some numbers of each generator, those of the normal distribution included: they are drawn in pairs."""
    return [
        torch.rand(5).tolist(),
        torch.randn(3).tolist(),
        torch.randperm(50).tolist(),
        np.random.rand(5).tolist(),
        np.random.normal(size=3).tolist(),
        np.random.permutation(50).tolist(),
        [random.random() for _ in range(5)],
        [random.gauss(0, 1) for _ in range(3)],
        random.sample(range(50), 50),
    ]


def test_random_numbers_go_on_as_they_were_also_through_a_file(states: Resumable) -> None:
    torch.manual_seed(1)
    np.random.seed(2)
    random.seed(3)
    draws()  # an odd number of normal ones: half a pair waits in each generator
    states.save({"random": random_state()}, {})
    expected = [draws(), draws()]
    draws()
    restore_random(content(states.state())["random"])
    assert [draws(), draws()] == expected


def test_a_state_names_its_file_relative_to_the_run(states: Resumable) -> None:
    """A run directory may be moved between two attempts."""
    states.save({"step": 1}, {})
    assert json.loads((states.folder / NOTE).read_text())["file"] in names(states)
    moved = states.folder.parent.rename(states.folder.parent.with_name("moved"))
    assert content(Resumable(moved).state()) == {"step": 1}
