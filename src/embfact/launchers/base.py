"""What every launcher of embfact's own has in common, behind Hydra's launcher interface.

Light to import: no torch, and no engine.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from hydra.plugins.launcher import Launcher

from embfact.config.run_config import RunConfig
from embfact.errors import ErrorDetail
from embfact.launchers.sweep_task import SweepTask


class OwnLauncher(Launcher):
    """A launcher that hands out whole runs; a run that is lost costs itself alone."""

    process_tree_each: ClassVar[bool] = False  # whether a run may start other processes of its own
    on_this_machine: ClassVar[bool] = False  # whether runs are done nowhere else

    def setup(self, *, task_function: Any, **_: Any) -> None:
        """Take the sweep from Hydra; the configurations of its jobs are made already."""
        self._task: SweepTask = task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        """Do all runs of the sweep; what came of them is in the sweep."""
        self.do_all(self._task)
        return []

    @abstractmethod
    def do_all(self, sweep: SweepTask) -> None:
        """Do every run of a sweep.

        For each number it calls ``sweep.report(number, outcome)`` once, in this process, as soon as the run has ended;
        no run is handed out any more once ``sweep.stopped`` is true. Work is done elsewhere by
        ``embfact.launchers.work.do_run(sweep.runs[number])``, which takes and gives what can be pickled. A worker that
        dies is reported as a failed run.

        Raises:
            Interrupted: After the workers have been told, and have marked their runs.
        """

    @classmethod
    def errors(cls, options: Mapping[str, Any], configs: Sequence[RunConfig]) -> list[ErrorDetail]:
        """What is wrong with a sweep of these runs through this launcher, before anything is started.

        Args:
            options: The launcher's own section of the configuration.
            configs: The runs.
        """
        return []
