"""Several processes train as one would, share all that one of them wishes, and end together whatever ends them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed

from embfact.data.batches import share_of
from embfact.system.ranks import rank, world_size
from embfact.training.distributed import RankLostError, agree, gather, other_ranks


def group() -> None:
    """What Lightning does at the start of a training on several CPUs."""
    distributed.init_process_group("gloo", rank=rank(), world_size=world_size())


def ask_for_a_minute() -> None:
    group()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        agree(True)


JOIN = """
import os, signal, time, torch
from torch import distributed
from embfact.system.ranks import rank, world_size
from embfact.training.distributed import agree, gather
distributed.init_process_group("gloo", rank=rank(), world_size=world_size())
"""


# One process


def test_alone_a_process_agrees_with_itself() -> None:
    assert (rank(), world_size()) == (0, 1)
    assert gather("mine") == ["mine"]
    assert agree(True)
    assert not agree(False)


def test_one_device_starts_nothing(tmp_path: Path) -> None:
    with other_ranks(partial(os._exit, 1), devices=1, directory=tmp_path, seed=0):
        assert world_size() == 1
    assert not list(tmp_path.iterdir())


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 1000))
def test_weighted_shares_give_the_gradient_of_the_whole_batch(rows: int, world: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    inputs, labels = torch.randn(rows, 3, generator=draw), torch.randint(2, (rows,), generator=draw)

    def gradient(chosen: list[int], weight: float) -> torch.Tensor:
        model = torch.linspace(-1, 1, 6).reshape(3, 2).requires_grad_()
        (weight * torch.nn.functional.cross_entropy(inputs[chosen] @ model, labels[chosen])).backward()
        assert model.grad is not None
        return model.grad

    shares = [share_of(range(rows), number, world, mean_rows=rows) for number in range(world)]
    averaged = torch.stack([gradient(*share) for share in shares]).mean(0)
    torch.testing.assert_close(averaged, gradient(list(range(rows)), 1.0))


# Several


@pytest.mark.slow
def test_ranks_share_what_they_know_and_draw_different_numbers(tmp_path: Path) -> None:
    before, threads = dict(os.environ), torch.get_num_threads()
    torch.set_num_threads(2)
    work = partial(exec, JOIN + "gather((torch.initial_seed(), torch.get_num_threads())); agree(True); agree(False)")
    try:
        with other_ranks(work, devices=2, directory=tmp_path, seed=0):
            assert (rank(), world_size(), torch.get_num_threads()) == (0, 2, 1)
            group()
            torch.manual_seed(0)
            (own, other), divided = zip(*gather((torch.initial_seed(), torch.get_num_threads())), strict=True)
            assert own != other
            assert divided == (1, 1)
            assert agree(False)
            assert not agree(False)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert dict(os.environ) == before
    assert not distributed.is_initialized()


@pytest.mark.slow
def test_a_killed_rank_ends_the_training_in_words(tmp_path: Path) -> None:
    start = time.monotonic()
    work = partial(exec, JOIN + "agree(True); os.kill(os.getpid(), signal.SIGKILL)")
    with (
        pytest.raises(RankLostError, match=r"process 1 of this training was killed by SIGKILL .* rank1.txt"),
        other_ranks(work, devices=2, directory=tmp_path, seed=0),
    ):
        ask_for_a_minute()
    assert time.monotonic() < start + 30
    assert not distributed.is_initialized()


@pytest.mark.slow
def test_a_rank_that_fails_before_it_trains_is_told_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "rank1.txt").write_text("of an earlier attempt\n")
    with (
        pytest.raises(RankLostError, match=r"process 1 of this training failed: ModuleNotFoundError: .*gone"),
        other_ranks(Unreadable(), devices=2, directory=tmp_path, seed=0),
    ):
        pytest.fail("the training must not begin")
    assert (tmp_path / "rank1.txt").read_text().startswith("of an earlier attempt\n")


class Unreadable:
    """Cannot be taken in by another process."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("import gone",)

    def __call__(self) -> None: ...


@pytest.mark.slow
def test_what_fails_in_rank_0_is_not_blamed_on_others(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="my own detail"),
        other_ranks(partial(time.sleep, 600), devices=2, directory=tmp_path, seed=0),
    ):
        raise RuntimeError("my own detail")


LEADER = """
import sys, time
from functools import partial
from pathlib import Path
import embfact.training.distributed as d
d.GRACE = 1
work = partial(exec, sys.argv[1])
with d.other_ranks(work, devices=2, directory=Path.cwd(), seed=0):
    time.sleep(600)
"""


@pytest.mark.slow
def test_ranks_end_with_rank_0_even_if_it_is_killed(tmp_path: Path) -> None:
    work = "import os, time; open('new', 'w').write(str(os.getpid())); os.rename('new', 'pid'); time.sleep(600)"
    leader = subprocess.Popen([sys.executable, "-c", LEADER, work], cwd=tmp_path)
    try:
        wait(lambda: (tmp_path / "pid").exists(), 60)
    finally:
        leader.kill()
        leader.wait()
    other = int((tmp_path / "pid").read_text())
    wait(lambda: not lives(other), 10)


@pytest.mark.slow
def test_a_rank_0_that_does_not_notice_the_loss_is_ended(tmp_path: Path) -> None:
    words = [sys.executable, "-c", LEADER, "import os; os.abort()"]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "process 1 of this training was killed by SIGABRT" in ended.stderr


def wait(done: object, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that nobody has waited for is dead all the same.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
