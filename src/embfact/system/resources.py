"""The cost of a run: seconds per step, and peak memory."""

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
    """Seconds by step, on top of those of a resumed attempt; the total runs from its creation."""

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

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add time that was spent elsewhere to steps, and to the total."""
        for name, value in seconds.items():
            self._steps[name] = self._steps.get(name, 0.0) + value
        self._start -= sum(seconds.values())

    def seconds(self) -> dict[str, float]:
        """Seconds of every step so far, including unfinished ones, and ``total``."""
        names = dict.fromkeys([*self._steps, *self._open])
        return {**{name: self._of(name) for name in names}, "total": time.perf_counter() - self._start}

    def _of(self, name: str) -> float:
        unfinished = time.perf_counter() - self._open[name] if name in self._open else 0.0
        return self._steps.get(name, 0.0) + unfinished


def release_memory() -> None:
    """Free unused memory, so that it does not burden, or count for, what comes next."""
    # An exception raised by a signal during garbage collection would be swallowed.
    with held_back():
        gc.collect()
    trim_memory()


def trim_memory() -> None:
    """Return free memory to the system, without a garbage collection, which takes a third of a second."""
    # glibc keeps freed blocks, tens of megabytes after every run, unless asked to return them.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    # Arrow has its own pool.
    if arrow := sys.modules.get("pyarrow"):
        arrow.default_memory_pool().release_unused()


def reset_peak_memory() -> None:
    """Reset the peak memory of this process; only Linux can."""
    with suppress(OSError):
        _CLEAR.write_text("5", encoding="ascii")


def peak_memory() -> int:
    """Largest resident set in bytes since `reset_peak_memory`; outside Linux, since the start of the process."""
    try:
        line = next(line for line in _STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
