"""What is seen of runs side by side: a bar over all of them with the time left, and a line for each that is running.

Only on a terminal: in a file or a pipe it would be thousands of lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import mean

from tqdm import tqdm

from embfact.formatting.numbers import duration
from embfact.runs.planned import PlannedRun
from embfact.runs.status import read_status

EVERY = 1.0  # seconds between two looks at the statuses
_BAR, _EMPTY = "{desc} |{bar}|", "{desc}"


@dataclass(frozen=True)
class Running:
    """A run that is being done.

    Attributes:
        run: The run.
        seconds: For how long, here.
        pid: By which process.
    """

    run: PlannedRun
    seconds: float
    pid: int


class Progress:
    """Lines at the bottom of the terminal, gone when it is closed.

    Args:
        total: How many runs there are.
        places: How many of them are done at a time.
    """

    def __init__(self, total: int, places: int) -> None:
        # disable=None: no line at all where standard error is not a terminal.
        options = {"disable": None, "leave": False, "dynamic_ncols": True, "bar_format": _EMPTY}
        self._all = tqdm(total=total, position=0, **options)
        self._lines = [tqdm(position=place + 1, **options) for place in range(places)]
        self._total, self._places, self._times = total, places, list[float]()

    @property
    def is_shown(self) -> bool:
        """Whether somebody sees it."""
        return not self._all.disable

    def ended(self, seconds: float | None) -> None:
        """Note that a run has ended.

        Args:
            seconds: How long it took, or None if that says nothing about the others.
        """
        self._all.n += 1
        if seconds is not None:
            self._times.append(seconds)

    def show(self, running: Sequence[Running]) -> None:
        """Draw the bar and the line of each run that is being done."""
        if not self.is_shown:
            return
        waiting = self._total - int(self._all.n) - len(running)
        left = time_left(self._times, waiting, [one.seconds for one in running], self._places)
        words = "" if left is None else f", about {duration(left)} left"
        _draw(self._all, f"{self._all.n} of {self._total} runs{words}", self._all.n, self._total)
        for place, bar in enumerate(self._lines):
            if place < len(running):
                _draw(bar, *line_of(running[place]))
            else:
                _draw(bar, "", 0, None)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the lines away while something else is printed."""
        with tqdm.external_write_mode():
            yield

    def close(self) -> None:
        """Take the lines away for good."""
        for bar in [*reversed(self._lines), self._all]:
            bar.close()


def line_of(running: Running) -> tuple[str, int, int | None]:
    """The words of a running run, its steps and how many there will be (None before its training)."""
    identity = running.run.identity
    status = read_status(identity.directory) if identity else None
    if status is None or status.pid != running.pid or status.state != "running":
        return f"{running.run.title}  starting", 0, None
    steps = f" {status.step}/{status.steps}" if status.steps else ""
    return f"{running.run.title}  {status.phase or ''}{steps}", status.step, status.steps


def time_left(ended: Sequence[float], waiting: int, running: Sequence[float], places: int) -> float | None:
    """Seconds until the last run ends, if all take as long as those that have ended; None before the first has.

    Args:
        ended: Seconds of those that have ended.
        waiting: How many have not begun.
        running: Seconds that the others have run for.
        places: How many run at a time.
    """
    if not ended:
        return None
    usual = mean(ended)
    rest = [max(0.0, usual - seconds) for seconds in running]
    # Never less than the one that has longest to go.
    return max([(waiting * usual + sum(rest)) / places, *rest])


def _draw(bar: tqdm, words: str, done: int, of: int | None) -> None:
    bar.bar_format = _BAR if of else _EMPTY
    bar.n, bar.total = done, of
    bar.set_description_str(words, refresh=False)
    bar.refresh()
