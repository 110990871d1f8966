"""A service that shows runs, as a Lightning logger; an error of the service never stops a training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pytorch_lightning.loggers import Logger

from embfact.config.run_config import RunConfig
from embfact.results.wandb.access import has_key
from embfact.results.wandb.services import SERVICES, Opening, ServiceRun
from embfact.results.wandb.values import PARAMETERS, RESULT, SCORE, outcome, row, settings, summary
from embfact.runs.identity import Identity
from embfact.runs.record import RunRecord
from embfact.runs.status import State

log = logging.getLogger(__name__)


class Tracker:
    """The loggers of one run; `service_id` is the same in every attempt, so that the service continues the run."""

    def __init__(self, config: RunConfig, identity: Identity, service_id: str | None = None) -> None:
        self._logger = None
        if used := config.logger.used:
            if (used, config.logger.mode) == ("wandb", "online") and not has_key():
                log.warning("no W&B key found (run `wandb login` or set WANDB_API_KEY): logging offline")
            service = SERVICES[used]
            opening = Opening(identity.name, service_id, identity.directory, **settings(config, identity))
            self._logger = ForgivingLogger(service.title, partial(service.open, config.logger, opening))
        self.loggers: list[Logger] = [self._logger] if self._logger else []

    def summarize(self, record: RunRecord) -> None:
        """Write the figures, for plots, the run's line of the table, and the whole record, for tables."""
        if self._logger:
            self._logger.summarize(record)

    def close(self, ended: State) -> None:
        """End the run with the state in which it ended: the next run of a sweep must not write into it.

        If the run was interrupted before anything was logged, the service is not started any more: there is no time.
        """
        if self._logger and (self._logger.is_open or ended != "interrupted"):
            if ended == "interrupted":
                self._logger.mark(ended)
            self._logger.close(succeeded=ended == "finished")


class ForgivingLogger(Logger):
    """A run of a service; its first error is written to the log and ends the logging, not the training.

    It is opened by `opening` when there is something to log: W&B takes two seconds to start, and the first training
    step need not wait for that. `title` is the name of the service.
    """

    def __init__(self, title: str, opening: Callable[[], ServiceRun]) -> None:
        super().__init__()
        self._title = title
        self._opening = opening
        self._run: ServiceRun | None = None
        self._broken = False

    @property
    def is_open(self) -> bool:
        """Whether the run has been opened."""
        return self._run is not None

    @property
    def name(self) -> None:
        """No name: Lightning would create a folder for it."""

    @property
    def version(self) -> None:
        """No version: Lightning would show it."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics of a step."""
        self._guard(lambda run: run.log(metrics, step))

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Ignore Lightning's hyperparameters: the configuration was logged when the run was opened."""

    def summarize(self, record: RunRecord) -> None:
        """Add the result of a run that has ended."""
        title = f"{SCORE} against {PARAMETERS}"

        def add(run: ServiceRun) -> None:
            run.conclude(outcome(record), summary(record))
            run.log_scatter(RESULT, [row(record)], PARAMETERS, SCORE, title)

        self._guard(add)

    def mark(self, status: State) -> None:
        """Note how a run without a record ended."""
        self._guard(lambda run: run.conclude({}, {"status": status}))

    def close(self, *, succeeded: bool) -> None:
        """Finish the run."""
        self._guard(lambda run: run.finish(succeeded=succeeded))

    def _guard(self, action: Callable[[ServiceRun], None]) -> None:
        if self._broken:
            return
        try:
            if self._run is None:
                self._run = self._opening()
            action(self._run)
        except Exception as error:
            self._broken = True
            what = "stopped working" if self.is_open else "did not start"
            log.warning("%s %s; the run continues without it: %s", self._title, what, error)
