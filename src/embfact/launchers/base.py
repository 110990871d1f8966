"""The base class of embfact's launchers, behind Hydra's launcher interface; imports neither torch nor an engine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from hydra.plugins.launcher import Launcher

from embfact.config.run_config import RunConfig
from embfact.errors import ErrorDetail
from embfact.launchers.sweep_task import SweepTask


class OwnLauncher(Launcher):
    """A launcher that distributes whole runs; a lost run does not affect the others."""

    process_tree_each: ClassVar[bool] = False  # whether a run may start other processes
    on_this_machine: ClassVar[bool] = False  # whether all runs stay on this machine

    def setup(self, *, task_function: Any, **_: Any) -> None:
        """Take the sweep from Hydra; its runs are configured already."""
        self._task: SweepTask = task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        """Run the sweep, which collects the outcomes."""
        self.do_all(self._task)
        return []

    @abstractmethod
    def do_all(self, sweep: SweepTask) -> None:
        """Run every run of a sweep.

        Calls ``sweep.report(number, outcome)`` once for each run, in this process, as soon as it has ended, and starts
        no more runs once ``sweep.stopped`` is true. Workers call ``embfact.launchers.work.do_run(sweep.runs[number])``,
        whose argument and result can be pickled. If a worker dies, its run is reported as failed.

        Raises:
            Interrupted: After the workers have been told and have marked their runs.
        """

    @classmethod
    def errors(cls, options: Mapping[str, Any], configs: Sequence[RunConfig]) -> list[ErrorDetail]:
        """What is wrong with a sweep of these runs, given the launcher's section of the configuration."""
        return []
