"""A lock is held by one living process at a time, whatever becomes of that process and wherever it runs."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from threading import Timer

import pytest

import embfact
from embfact.system import lock as locks
from embfact.system.lock import STALE, Holder, acquire, built_once, held, holder
from tests.helpers.run_directories import held_elsewhere

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(embfact.__file__).parents[1])}
START = """
import errno, fcntl, os, sys, time
from pathlib import Path
from embfact.system import lock
path = Path(sys.argv[1])
"""
# Lines of two processes that are in the block at once would be mixed.
CONTEND = """
lock.POLL = 0.005
while not path.with_name("go").exists():
    time.sleep(0.005)
for _ in range(ROUNDS):
    with lock.held(path):
        for word in ("in", "out"):
            with path.with_name("log").open("a") as log:
                log.write(f"{word} {os.getpid()}\\n")
            time.sleep(0.005)
"""
NO_FLOCK = """
def refuse(descriptor, kind):
    raise OSError(errno.ENOSYS, "Function not implemented")
fcntl.flock = refuse
"""


def start(code: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", START + code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "run.lock"


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def _no_flock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that knows no flock."""

    def refuse(descriptor: int, kind: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(locks, "SETTLE", 0.01)


def write_foreign(path: Path, age: float) -> None:
    """A lock that a process of another host holds, or held: its heart beat so many seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    os.utime(path, (time.time() - age,) * 2)


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lock_is_held_once_and_leaves_nothing(path: Path) -> None:
    assert holder(path) is None
    lock = acquire(path)
    assert lock is not None
    assert acquire(path) is None
    assert holder(path) == Holder(socket.gethostname(), os.getpid())
    with lock:
        pass
    assert list(path.parent.iterdir()) == []
    assert holder(path) is None


def test_the_holder_in_another_process_is_named_and_its_death_frees_the_lock_at_once(path: Path) -> None:
    with held_elsewhere(path) as process:
        assert holder(path) == Holder(socket.gethostname(), process.pid)
        assert acquire(path) is None
        process.kill()
        process.wait()
        assert path.exists()
        assert holder(path) is None
        lock = acquire(path)
    assert lock is not None
    assert holder(path) == Holder(socket.gethostname(), os.getpid())
    lock.release()
    assert not path.exists()


@pytest.mark.parametrize(("code", "processes", "rounds"), [(CONTEND, 6, 10), (NO_FLOCK + CONTEND, 3, 2)])
def test_many_contenders_have_it_one_after_another(code: str, processes: int, rounds: int, path: Path) -> None:
    path.parent.mkdir()
    children = [start(f"ROUNDS = {rounds}\n{code}", path) for _ in range(processes)]
    path.with_name("go").touch()
    assert [child.wait(60) for child in children] == [0] * processes
    lines = path.with_name("log").read_text().split("\n")[:-1]
    assert lines[1::2] == [line.replace("in", "out") for line in lines[::2]]
    assert Counter(lines[::2]) == {f"in {child.pid}": rounds for child in children}
    assert not path.exists()


def test_a_lock_released_twice_is_not_taken_from_its_next_holder(path: Path) -> None:
    first = acquire(path)
    assert first is not None
    first.release()
    with held_elsewhere(path) as process:
        first.release()
        assert holder(path) == Holder(socket.gethostname(), process.pid)


def test_the_file_of_another_in_its_place_is_not_removed(path: Path) -> None:
    lock = acquire(path)
    assert lock is not None
    path.parent.rename(path.parent.with_name("renamed"))
    with held(path):
        lock.release()
        assert path.exists()


def test_a_lock_file_that_cannot_be_removed_is_free_all_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    lock = acquire(path)
    assert lock is not None
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        lock.release()
    assert path.exists()
    assert holder(path) is None
    again = acquire(path)
    assert again is not None
    again.release()


def test_a_lock_whose_file_says_nothing_is_respected_while_it_is_held(path: Path) -> None:
    with held_elsewhere(path):
        path.write_text("{")
        assert holder(path) == Holder("unknown", 0)
        assert acquire(path) is None


@pytest.mark.parametrize("skew", [-7200.0, 0.0, 7200.0])
def test_a_lock_of_another_host_counts_while_its_heart_beats(
    skew: float, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock of the file server: that of this machine may go wrong by hours."""
    write_foreign(path, age=STALE - 30)
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + skew)
    assert acquire(path) is None
    assert holder(path) == Holder("elsewhere", 1)


@pytest.mark.parametrize("skew", [-7200.0, 0.0, 7200.0])
def test_a_lock_of_another_host_whose_heart_stands_still_is_taken_over(
    skew: float, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_foreign(path, age=STALE + 30)
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + skew)
    assert holder(path) is None
    lock = acquire(path)
    assert lock is not None
    assert holder(path) == Holder(socket.gethostname(), os.getpid())
    lock.release()


def test_the_heart_of_a_holder_beats(path: Path) -> None:
    child = start("lock.BEAT = 0.05\nheld = lock.acquire(path)\nprint(1, flush=True)\ninput()", path)
    assert child.stdout
    assert child.stdout.readline() == "1\n"
    old = time.time() - 1000
    os.utime(path, (old, old))
    deadline = time.monotonic() + 20
    while path.stat().st_mtime < old + 900:
        assert time.monotonic() < deadline, "no heartbeat"
        time.sleep(0.02)
    child.communicate("\n", timeout=20)


@pytest.mark.usefixtures("_no_flock")
def test_without_flock_host_and_process_decide(path: Path) -> None:
    lock = acquire(path)
    assert lock is not None
    assert acquire(path) is None
    assert holder(path) == Holder(socket.gethostname(), os.getpid())
    lock.release()
    assert not path.exists()
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": dead_process()}))
    assert holder(path) is None
    again = acquire(path)
    assert again is not None
    again.release()
    write_foreign(path, age=STALE - 30)
    assert acquire(path) is None
    write_foreign(path, age=STALE + 30)
    last = acquire(path)
    assert last is not None
    last.release()


@pytest.mark.usefixtures("_no_flock")
def test_without_flock_a_process_that_was_overtaken_does_not_have_the_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(seconds: float) -> None:
        path.write_text(json.dumps({"host": "elsewhere", "pid": 1}))

    monkeypatch.setattr(time, "sleep", overtaken)
    assert acquire(path) is None
    assert holder(path) == Holder("elsewhere", 1)


def test_a_fault_of_the_disk_is_not_taken_for_a_file_system_without_locks(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int, kind: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="Input/output error"):
        acquire(path)


def test_held_waits_for_another_process(path: Path) -> None:
    with held_elsewhere(path) as process:
        Timer(0.2, process.kill).start()
        with held(path):
            assert process.wait() == -signal.SIGKILL, "nobody else holds it any more"
            assert holder(path) == Holder(socket.gethostname(), os.getpid())
    assert not path.exists()


def test_what_is_built_once_is_there_for_whoever_waited(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "tokens.arrow"
    child = start("with lock.built_once(path):\n  print(1, flush=True)\n  input()\n  path.write_text('whole')", file)
    assert child.stdout
    assert child.stdin
    assert child.stdout.readline() == "1\n"
    assert not file.exists()
    stdin = child.stdin
    Timer(0.3, lambda: (stdin.write("\n"), stdin.flush())).start()
    with built_once(file):
        assert file.read_text() == "whole"
    assert child.wait(20) == 0
    assert [path.name for path in file.parent.iterdir()] == ["tokens.arrow"]


def test_one_who_fails_to_build_lets_the_next_one_try(tmp_path: Path) -> None:
    file = tmp_path / "tokens.arrow"
    with pytest.raises(RuntimeError), built_once(file):
        raise RuntimeError("out of memory")
    with built_once(file):
        assert holder(file.with_suffix(".lock")) is not None


def test_where_no_lock_can_be_made_everybody_builds_for_himself(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    built = []
    with built_once(tmp_path / "cache" / "tokens.arrow"):
        built.append(1)
    assert built == [1]
    # What goes wrong then is not laid to the lock.
    with pytest.raises(RuntimeError) as caught, built_once(tmp_path / "cache" / "tokens.arrow"):
        raise RuntimeError("the texts are broken")
    assert caught.value.__context__ is None
