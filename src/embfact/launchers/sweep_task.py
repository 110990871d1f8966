"""The sweep as launchers see it: runs by number, and a place to report their outcomes.

Light to import: no torch before the first run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any

from omegaconf import DictConfig

from embfact.formatting.numbers import duration
from embfact.launchers.work import do_run
from embfact.log import say
from embfact.runs.planned import Outcome, PlannedRun


class SweepTask:
    """The pending runs of a sweep.

    Args:
        runs: The runs, numbered from 0; all have an identity.
        fail_fast: Stop after the first failure.

    Attributes:
        outcomes: The outcome of each run, by number.
        stopped: Whether no more runs may be started.
        time_left: Seconds until the sweep ends, of a launcher that knows better than the pace so far.
    """

    def __init__(self, runs: Sequence[PlannedRun], fail_fast: bool = False) -> None:
        self.runs = tuple(runs)
        self.fail_fast = fail_fast
        self.outcomes: dict[int, Outcome] = {}
        self.stopped = False
        self.time_left: Callable[[], float | None] | None = None
        self._reported = time.monotonic()  # when a run last ended
        self._times: dict[int, float] = {}  # seconds from one end to the next, by the number of the finished run

    def __call__(self, settings: DictConfig) -> Outcome:
        """Run the job that one of Hydra's launchers has just set up, in this or another process."""
        from hydra.core.hydra_config import HydraConfig

        number = int(HydraConfig.get().job.num)
        outcome = Outcome("unstarted") if self.stopped else do_run(self.runs[number])
        self.report(number, outcome)
        return outcome

    def report(self, number: int, outcome: Outcome) -> None:
        """Note the outcome of a run, and print its line with the time left."""
        self.outcomes[number] = outcome
        self.stopped = self.stopped or (self.fail_fast and outcome.state in ("failed", "diverged"))
        now = time.monotonic()
        if outcome.record and outcome.state == "finished":
            # Without the time of the imports, which happen only once.
            self._times[number] = min(now - self._reported, outcome.record.seconds.total)
        self._reported = now
        line = self.line(number, outcome)
        if line:
            left = self.time_left() if self.time_left else self._left()
            rest = f"  about {duration(left)} left" if left is not None and not self.stopped else ""
            say(line + rest + self._profile(number, outcome))

    def line(self, number: int, outcome: Outcome) -> str:
        """The line for a run that has ended; empty if it did not run here. Why it failed is told once, at the end."""
        total = len(self.runs)
        if outcome.state in ("busy", "unstarted") or (total == 1 and outcome.state != "finished"):
            return ""
        counter = f"[{number + 1:>{len(str(total))}}/{total}] " if total > 1 else ""
        return f"{counter}{line_of(self.runs[number], outcome)}"

    def _left(self) -> float | None:
        """Seconds until the last run ends at the pace of those with the same data and backbone, else of all."""
        if not self._times:
            return None
        known = [(_kind(self.runs[number]), seconds) for number, seconds in self._times.items()]
        waiting = [run for number, run in enumerate(self.runs) if number not in self.outcomes]
        paces = ([seconds for kind, seconds in known if kind == _kind(run)] for run in waiting)
        left = sum(mean(alike or self._times.values()) for alike in paces)
        return left if waiting else None

    def _profile(self, number: int, outcome: Outcome) -> str:
        """The profile to print below a run's line, read from its directory."""
        run = self.runs[number]
        if not run.config.profile or run.identity is None or outcome.state != "finished":
            return ""
        from embfact.profiling.report import read_report

        report = read_report(run.identity.directory)
        return "" if report is None else f"\n\n{report.as_text()}\n"

    def __getstate__(self) -> dict[str, Any]:
        # Outcomes stay in the process that started the sweep, which alone knows the time left.
        return {**self.__dict__, "outcomes": {}, "time_left": None, "_times": {}}


def _kind(run: PlannedRun) -> tuple[str, str]:
    return run.config.data.name, run.config.model.label


def line_of(run: PlannedRun, outcome: Outcome) -> str:
    """A run that has ended: its name, its reported metrics or how it failed, and its seconds."""
    what = describe_outcome(outcome) if outcome.state == "finished" else outcome.state.upper()
    seconds = f"  {outcome.record.seconds.total:.0f} s" if outcome.record else ""
    return f"{run.title}  {what}{seconds}"


def describe_outcome(outcome: Outcome) -> str:
    """The reported metrics of a finished run."""
    metrics = outcome.record.metrics if outcome.record else {}
    return "  ".join(
        f"{split + ' ' if len(metrics) > 1 else ''}{name} " + ("undefined" if value is None else f"{100 * value:.1f}")
        for split, values in metrics.items()
        for name, value in values.items()
    )
