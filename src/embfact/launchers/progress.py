"""The progress of parallel runs: a bar over all of them with the time left, and a line for each running one.

Only on a terminal: in a file or a pipe it would be thousands of lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tqdm import tqdm

from embfact.formatting.numbers import duration
from embfact.runs.pace import time_left
from embfact.runs.planned import PlannedRun
from embfact.runs.status import read_status

EVERY = 1.0  # seconds between two looks at the statuses
_BAR, _EMPTY = "{desc} |{bar}|", "{desc}"


@dataclass(frozen=True)
class Running:
    """A run in progress.

    Attributes:
        run: The run.
        seconds: How long it has been running here.
        pid: The process that runs it.
    """

    run: PlannedRun
    seconds: float
    pid: int


class Progress:
    """Lines at the bottom of the terminal, for a total of runs in a number of places; they disappear when closed."""

    def __init__(self, total: int, places: int) -> None:
        # disable=None: no line if standard error is not a terminal.
        options = {"disable": None, "leave": False, "dynamic_ncols": True, "bar_format": _EMPTY}
        self._all = tqdm(total=total, position=0, **options)
        self._lines = [tqdm(position=place + 1, **options) for place in range(places)]
        self._total, self._places, self._times = total, places, list[float]()
        self._ended = 0

    def ended(self, seconds: float | None) -> None:
        """Note that a run has ended, and how long it took; None if that is no guide to the others."""
        self._ended += 1
        if seconds is not None:
            self._times.append(seconds)

    def left(self, running: Sequence[float]) -> float | None:
        """Seconds until the last run ends, given the seconds of those in progress; see `time_left`."""
        waiting = self._total - self._ended - len(running)
        return time_left(self._times, waiting, running, self._places) if waiting or running else None

    def show(self, running: Sequence[Running]) -> None:
        """Draw the bar and a line for each running run."""
        if self._all.disable:
            return
        left = self.left([one.seconds for one in running])
        estimate = "" if left is None else f", about {duration(left)} left"
        _draw(self._all, f"{self._ended} of {self._total} runs{estimate}", self._ended, self._total)
        for place, bar in enumerate(self._lines):
            if place < len(running):
                _draw(bar, *line_of(running[place]))
            else:
                _draw(bar, "", 0, None)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Clear the lines while something else is printed."""
        with tqdm.external_write_mode():
            yield

    def close(self) -> None:
        """Remove the lines."""
        for bar in [*reversed(self._lines), self._all]:
            bar.close()


def line_of(running: Running) -> tuple[str, int, int | None]:
    """The text, the steps done and the steps in all (None before training) of a running run."""
    identity = running.run.identity
    status = read_status(identity.directory) if identity else None
    if status is None or status.pid != running.pid or status.state != "running":
        return f"{running.run.title}  starting", 0, None
    steps = f" {status.step}/{status.steps}" if status.steps else ""
    return f"{running.run.title}  {status.phase or ''}{steps}", status.step, status.steps


def _draw(bar: tqdm, text: str, done: int, of: int | None) -> None:
    bar.bar_format = _BAR if of else _EMPTY
    bar.n, bar.total = done, of
    bar.set_description_str(text, refresh=False)
    bar.refresh()
