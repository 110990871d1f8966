"""A lock that a dead process releases, on this machine and across machines that share a file system.

On one machine the kernel keeps it (``flock``): it is gone the moment its process is, however that ended. Where machines
share files, that alone is not trusted: the lock file names host and process, and its time of change is a heartbeat. A
lock of another host is taken over once its heart has stood still for `STALE` seconds by the clock of the file server.

Light to import: the standard library only.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from threading import Lock as Mutex

BEAT = 15.0  # seconds between two heartbeats
STALE = 90.0  # seconds without one after which a lock of another host counts for nothing
LOOKS, LOOK = 3, 0.01  # how often a lock is tried that seems to be held, and seconds in between
POLL = 0.1  # seconds between two looks at a lock that is waited for
SETTLE = 0.1  # seconds in which all who have seen a lock free have written their name; only without flock
# What file systems answer that know no flock.
_NO_FLOCK = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: a process of a host."""

    host: str
    pid: int


class Lock:
    """A lock that is held; `acquire` gives it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        _HEART.add(path)

    def release(self) -> None:
        """Remove the lock file and let go; a second call does nothing."""
        if self._descriptor < 0:
            return
        _HEART.drop(self.path)
        # Removed while it is held, so that nobody takes a file that is about to vanish for the lock; unless the folder
        # was renamed meanwhile, and the file is another's. One that cannot be removed is free all the same.
        with suppress(OSError):
            if self.is_held():
                self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1

    def is_held(self) -> bool:
        """Whether it is still this process's: another machine takes it over if this one stood still for too long."""
        return self._descriptor >= 0 and _is_file(self.path, self._descriptor) and _is_ours(_read(self._descriptor))

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def acquire(path: Path) -> Lock | None:
    """Take a lock if it is free; its folder is made.

    Args:
        path: The lock file.

    Returns:
        The lock, or None if another process (or this one) holds it.

    Raises:
        OSError: If the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    looks = LOOKS
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if not _flock(descriptor, fcntl.LOCK_EX):
                # Whoever only asks who holds it (`holder`) does so for a moment himself.
                looks -= 1
                if looks:
                    time.sleep(LOOK)
                    continue
                return None
            if _beats(path, descriptor):
                return None
            if not _is_file(path, descriptor):
                continue  # its last holder has just removed it
            me = Holder(socket.gethostname(), os.getpid())
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(me)).encode(), 0)
            if not _settled(path, descriptor, me):
                return None
            taken, descriptor = descriptor, -1
            return Lock(path, taken)
        finally:
            if descriptor >= 0:
                os.close(descriptor)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock for a block, after waiting for it as long as it takes.

    Raises:
        OSError: If the file cannot be made.
    """
    while (lock := acquire(path)) is None:
        time.sleep(POLL)
    with lock:
        yield


@contextmanager
def built_once(path: Path) -> Iterator[None]:
    """Hold the lock of a file of a cache while it is built, ``<stem>.lock`` beside it.

    Whoever comes later waits, and finds the file. Where no lock can be made, nothing can be kept either: everybody
    builds for himself.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(held(path.with_suffix(".lock")))
        yield


def holder(path: Path) -> Holder | None:
    """Who holds a lock now; None if nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = _read(descriptor)
        if not _flock(descriptor, fcntl.LOCK_SH) or _beats(path, descriptor):
            return found or Holder("unknown", 0)
        return None
    finally:
        os.close(descriptor)


def _flock(descriptor: int, kind: int) -> bool:
    """Whether the kernel gives the lock; where it knows none, host and heartbeat decide alone."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
        other = _read(descriptor)
        return other is None or other.host != socket.gethostname() or not _lives(other.pid)
    return True


def _settled(path: Path, descriptor: int, me: Holder) -> bool:
    """Whether the lock is this process's; where the kernel keeps none, of several at once the last to write has it."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held already: this only asks whether there is one
        return True
    time.sleep(SETTLE)
    return _read(descriptor) == me and _is_file(path, descriptor)


def _beats(path: Path, descriptor: int) -> bool:
    """Whether a process of another host has given a sign of life lately."""
    other = _read(descriptor)
    if other is None or other.host == socket.gethostname():
        return False
    return _server_time(path.parent) - os.fstat(descriptor).st_mtime < STALE


def _read(descriptor: int) -> Holder | None:
    try:
        values = json.loads(os.pread(descriptor, 4096, 0))
        return Holder(str(values["host"]), int(values["pid"]))
    except (ValueError, KeyError, TypeError):
        return None


def _is_ours(found: Holder | None) -> bool:
    return found == Holder(socket.gethostname(), os.getpid())


def _is_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _server_time(folder: Path) -> float:
    """The time by which the file system dates files: clocks of machines differ."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # a folder that may only be read
        return time.time()


class _Heart:
    """Touches the lock files of this process every `BEAT` seconds, from a thread that ends with the process."""

    def __init__(self) -> None:
        self._paths: set[Path] = set()
        self._mutex = Mutex()
        self._started = False

    def add(self, path: Path) -> None:
        with self._mutex:
            self._paths.add(path)
            if not self._started:
                self._started = True
                Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def drop(self, path: Path) -> None:
        with self._mutex:
            self._paths.discard(path)

    def _beat(self) -> None:
        pause = Event()
        while not pause.wait(BEAT):
            with self._mutex:
                paths = list(self._paths)
            for path in paths:
                with suppress(OSError):
                    os.utime(path)


_HEART = _Heart()
