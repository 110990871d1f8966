"""What a run cost: seconds of its steps and its own peak of memory."""

from __future__ import annotations

import ctypes
import gc
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from embfact.system.signals import held_back

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class Stopwatch:
    """Seconds by step; the total runs from its creation.

    Args:
        before: Seconds of an earlier attempt that this one goes on from.
    """

    def __init__(self, before: Mapping[str, float] | None = None) -> None:
        self._steps = dict(before or {})
        self._start = time.perf_counter() - self._steps.pop("total", 0.0)
        self._open: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time of a block to a step."""
        self._open[name] = time.perf_counter()
        try:
            yield
        finally:
            self._steps[name] = self._of(name)
            del self._open[name]

    def seconds(self) -> dict[str, float]:
        """Seconds of every step so far, one that is going on included, and ``total``."""
        names = dict.fromkeys([*self._steps, *self._open])
        return {**{name: self._of(name) for name in names}, "total": time.perf_counter() - self._start}

    def _of(self, name: str) -> float:
        going_on = time.perf_counter() - self._open[name] if name in self._open else 0.0
        return self._steps.get(name, 0.0) + going_on


def release_memory() -> None:
    """Give back what is no longer used: what comes next shall not pay for it, nor be measured with it."""
    # What a signal raises while garbage is taken apart would be swallowed there.
    with held_back():
        gc.collect()
    trim_memory()


def trim_memory() -> None:
    """Give back to the system what is free already; without a search for garbage, which takes a third of a second."""
    # Freed blocks between others stay with the process, tens of megabytes after every run, unless glibc is asked.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    # Arrow has a pool of its own.
    if arrow := sys.modules.get("pyarrow"):
        arrow.default_memory_pool().release_unused()


def reset_peak_memory() -> None:
    """Forget the peak of earlier runs in this process, where the system can (Linux)."""
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory() -> int:
    """Bytes of the largest resident set since `reset_peak_memory`; elsewhere than on Linux, of the whole process."""
    try:
        line = next(line for line in _STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
