"""Training in several processes: starting the other ranks, and communicating with them.

Lightning would start them by rerunning the command, with all that it plans, locks and prints. Here rank 0, the process
of the run, reaches the training with a model and its rows, and sends these to the other ranks through a pipe. They
share every batch with it, write nothing but a log, and end with it, however it ends.

Light to import: torch is imported with the first use.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any, cast

from embfact.errors import UserError
from embfact.system.ranks import RANK, WORLD, rank
from embfact.system.signals import Interrupted, end_process
from embfact.system.terminal import open_streams

GRACE = 20.0  # seconds in which rank 0 must notice a lost rank by itself, before it is ended
SIZE = 8  # bytes of the length of the message to another rank
# Lightning would seed every rank alike from these, but their dropout must differ.
_SEEDS = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")


class RankLostError(UserError):
    """Another process of a training has died; the message says how, with its last output."""


def gather(value: Any) -> list[Any]:
    """A picklable value from every rank, in order; every rank must call it."""
    from torch import distributed

    if not _grouped():
        return [value]
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def agree(flag: bool) -> bool:
    """Whether the flag is true on any rank; every rank must call it and gets the same answer."""
    if not _grouped():
        return flag
    import torch
    from torch import distributed

    device = torch.device("cuda", torch.cuda.current_device()) if distributed.get_backend() == "nccl" else "cpu"
    flags = torch.tensor(int(flag), device=device)
    distributed.all_reduce(flags, op=distributed.ReduceOp.MAX)
    return bool(flags.item())


def _grouped() -> bool:
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()


@contextmanager
def other_ranks(work: Callable[[], object], *, devices: int, directory: Path, seed: int) -> Iterator[None]:
    """Run the other ranks of a training while this process, rank 0, trains in the block.

    The threads of this process are divided among all ranks. With one device, this does nothing.

    Args:
        work: What each other rank calls: the same training, with everything it needs; it is pickled.
        devices: Number of processes, including this one.
        directory: Folder for the logs of the other ranks, ``rank1.txt`` and so on.
        seed: Seed of the run, from which each other rank derives its own for dropout.

    Raises:
        RankLostError: If one of the others dies.
    """
    if devices == 1:
        yield
        return
    import torch

    threads, port = torch.get_num_threads(), _free_port()
    share = max(1, threads // devices)
    others: list[_Rank] = []
    try:
        packed = io.BytesIO()
        # `torch.save`, not `pickle`: it preserves tensors that share memory, such as tied weights.
        torch.save((work, seed), packed)
        message = packed.getvalue()
        for number in range(1, devices):
            others.append(_Rank(number, directory, _place(number, devices, port) | {"OMP_NUM_THREADS": str(share)}))
        for other in others:
            other.hand_over(message)
        for other in others:
            other.await_ready()
        del message, packed
        torch.set_num_threads(share)
        with _environment(_place(0, devices, port)):
            yield
    except RuntimeError as error:
        # A collective raises this if another rank is gone; the cause is in the log of that rank.
        if lost := [other for other in others if other.lost(within=3)]:
            raise RankLostError(lost[0].last_lines()) from error
        raise
    finally:
        torch.set_num_threads(threads)
        for other in others:
            other.end()
        if _grouped():
            torch.distributed.destroy_process_group()


class _Rank:
    """Rank 0's handle of another process of the training."""

    def __init__(self, number: int, directory: Path, place: Mapping[str, str]) -> None:
        self.number = number
        self.file = directory / f"rank{number}.txt"
        self._over = Event()
        environment = {name: value for name, value in os.environ.items() if name not in _SEEDS}
        # So that a user's own factorization is importable there too.
        environment |= {**place, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with self.file.open("ab") as log:
            self._start = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", __spec__.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
            )
        Thread(target=self._watch, name=f"rank {number}", daemon=True).start()

    def hand_over(self, message: bytes) -> None:
        pipe = cast(IO[bytes], self._process.stdin)
        try:
            pipe.write(len(message).to_bytes(SIZE, "big") + message)
            pipe.flush()
        except BrokenPipeError:
            self._raise()

    def await_ready(self) -> None:
        if not cast(IO[bytes], self._process.stdout).readline():
            self._raise()

    def lost(self, within: float) -> bool:
        """Whether it has ended too early, or does so within some seconds."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(within)
        return self._process.returncode is not None

    def last_lines(self) -> str:
        code, who = self._process.returncode, f"process {self.number} of this training"
        if code < 0:
            reason = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f"{who} was killed by {signal.Signals(-code).name}{reason}; its log is {self.file.name}"
        try:
            lines = self.file.read_bytes()[self._start :].decode(errors="replace").split("\n")
        except OSError:
            lines = []
        last = next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {code}")
        return f"{who} failed: {last}; its log is {self.file.name}"

    def end(self) -> None:
        """Let it end, or kill it: it has nothing to save."""
        self._over.set()
        with suppress(OSError):
            cast(IO[bytes], self._process.stdin).close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        cast(IO[bytes], self._process.stdout).close()

    def _raise(self) -> None:
        self._process.wait()
        raise RankLostError(self.last_lines())

    def _watch(self) -> None:
        self._process.wait()
        # With gloo a collective fails at once; with NCCL, or before all ranks have met, it would wait half an hour.
        if not self._over.wait(GRACE):
            print(self.last_lines(), file=sys.stderr, flush=True)
            end_process(1, self.last_lines())


def _place(number: int, devices: int, port: int) -> dict[str, str]:
    """The environment that tells a process, and Lightning in it, its rank and where to meet the others."""
    return {
        RANK: str(number),
        WORLD: str(devices),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(devices),
        "NODE_RANK": "0",
        "LOCAL_RANK": str(number),
        "RANK": str(number),
    }


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run_rank() -> None:
    """The process of another rank: receive the work, do it, and wait until rank 0 ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # rank 0 receives them, and the ranks agree to stop
    open_streams()
    # All output goes to the log.
    ready = os.dup(1)
    os.dup2(2, 1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.captureWarnings(True)
    size = int.from_bytes(sys.stdin.buffer.read(SIZE), "big")
    message = sys.stdin.buffer.read(size)
    if not message or len(message) < size:
        return  # rank 0 is gone
    leash = Thread(target=_follow, daemon=True)
    leash.start()
    import numpy as np
    import torch

    work, seed = torch.load(io.BytesIO(message), weights_only=False)
    del message
    torch.manual_seed(int(np.random.SeedSequence([seed, rank()]).generate_state(1)[0]))
    os.write(ready, b"ready\n")
    # Whatever stops rank 0 stops all ranks, and rank 0 reports it.
    with suppress(Interrupted):
        work()
    leash.join()


def _follow() -> None:
    """End with rank 0: the system closes its end of the pipe, however it died."""
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    try:
        _run_rank()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
