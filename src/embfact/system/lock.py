"""A file lock that is released when its process dies, on one machine or across machines that share a file system.

On one machine the kernel keeps it (``flock``): it is released the moment its process ends, in whatever way. Across
machines that is not reliable, so the lock file names host and process, and its modification time is a heartbeat. A lock
of another host is taken over after `STALE` seconds without a heartbeat, by the clock of the file server.

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
STALE = 90.0  # seconds without a heartbeat after which a lock of another host has expired
LOOKS, LOOK = 3, 0.01  # attempts to take a lock that seems to be held, and seconds between them
POLL = 0.1  # seconds between two attempts while waiting for a lock
SETTLE = 0.1  # without flock: seconds in which every process that saw the lock free has written its name
# The errors of file systems without flock.
_NO_FLOCK = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock."""

    host: str
    pid: int


class Lock:
    """A lock that is held; created by `acquire`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        _HEART.add(path)

    def release(self) -> None:
        """Remove the lock file and release the lock; a second call does nothing."""
        if self._descriptor < 0:
            return
        _HEART.drop(self.path)
        # Removed while held, so that nobody locks a file that is about to vanish; unless the folder was renamed and the
        # file belongs to another process. A file that cannot be removed is still unlocked.
        with suppress(OSError):
            if self.is_held():
                self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1

    def is_held(self) -> bool:
        """Whether this process still holds it: another machine may have taken it over after missing heartbeats."""
        me = Holder(socket.gethostname(), os.getpid())
        return self._descriptor >= 0 and _is_file(self.path, self._descriptor) and _read(self._descriptor) == me

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def acquire(path: Path) -> Lock | None:
    """Take a lock if it is free; the folder of the lock file is created if necessary.

    Returns:
        The lock, or None if another process (or this one) holds it.

    Raises:
        OSError: If the file cannot be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    looks = LOOKS
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if not _flock(descriptor, fcntl.LOCK_EX):
                # A process that calls `holder` locks it for a moment.
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
    """Hold a lock for a block, after waiting for it as long as necessary.

    Raises:
        OSError: If the file cannot be created.
    """
    while (lock := acquire(path)) is None:
        time.sleep(POLL)
    with lock:
        yield


@contextmanager
def built_once(path: Path) -> Iterator[None]:
    """Hold the lock of a cache file, ``<stem>.lock`` beside it, while the file is built.

    Other processes wait, and then find the file. Where no lock can be created, no file can be cached either, so each
    process builds its own.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(held(path.with_suffix(".lock")))
        yield


def holder(path: Path) -> Holder | None:
    """The process that holds a lock now; None if it is free."""
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
    """Whether the kernel grants the lock; on file systems without flock, host and heartbeat decide."""
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
    """Whether this process got the lock; without flock, the last of several processes to write its name has it."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # already held: succeeds wherever flock exists
        return True
    time.sleep(SETTLE)
    return _read(descriptor) == me and _is_file(path, descriptor)


def _beats(path: Path, descriptor: int) -> bool:
    """Whether a process of another host holds the lock and its heartbeat is recent."""
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
    """The clock by which the file system dates files, since the clocks of machines differ."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # a read-only folder
        return time.time()


class _Heart:
    """Touches the lock files of this process every `BEAT` seconds, from a daemon thread."""

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
