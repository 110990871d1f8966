"""The sweep as launchers see it: runs by number, and a place to report their outcomes.

Light to import: no torch before the first run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig

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
    """

    def __init__(self, runs: Sequence[PlannedRun], fail_fast: bool = False) -> None:
        self.runs = tuple(runs)
        self.fail_fast = fail_fast
        self.outcomes: dict[int, Outcome] = {}
        self.stopped = False

    def __call__(self, settings: DictConfig) -> Outcome:
        """Run the job that one of Hydra's launchers has just set up, in this or another process."""
        from hydra.core.hydra_config import HydraConfig

        number = int(HydraConfig.get().job.num)
        outcome = Outcome("unstarted") if self.stopped else do_run(self.runs[number])
        self.report(number, outcome)
        return outcome

    def report(self, number: int, outcome: Outcome) -> None:
        """Note the outcome of a run, and print its line."""
        self.outcomes[number] = outcome
        self.stopped = self.stopped or (self.fail_fast and outcome.state in ("failed", "diverged"))
        line = self.line(number, outcome)
        if line:
            say(line + self._profile(number, outcome))

    def line(self, number: int, outcome: Outcome) -> str:
        """The line for a run that has ended; empty if it did not run here."""
        if outcome.state in ("busy", "unstarted"):
            return ""
        total = len(self.runs)
        counter = f"[{number + 1:>{len(str(total))}}/{total}] " if total > 1 else ""
        seconds = f"  {outcome.record.seconds.total:.0f} s" if outcome.record else ""
        return f"{counter}{self.runs[number].title}  {describe_outcome(outcome)}{seconds}"

    def _profile(self, number: int, outcome: Outcome) -> str:
        """The profile to print below a run's line, read from its directory."""
        run = self.runs[number]
        if not run.config.profile or run.identity is None or outcome.state != "finished":
            return ""
        from embfact.profiling.report import read_report

        report = read_report(run.identity.directory)
        return "" if report is None else f"\n\n{report.as_text()}\n"

    def __getstate__(self) -> dict[str, Any]:
        # Outcomes stay in the process that started the sweep.
        return {**self.__dict__, "outcomes": {}}


def describe_outcome(outcome: Outcome) -> str:
    """The reported metrics of a run, or why it has none."""
    if outcome.record is None or outcome.state != "finished":
        return f"{outcome.state.upper()}: {outcome.message}"
    metrics = outcome.record.metrics
    return "  ".join(
        f"{split + ' ' if len(metrics) > 1 else ''}{name} " + ("undefined" if value is None else f"{100 * value:.1f}")
        for split, values in metrics.items()
        for name, value in values.items()
    )
