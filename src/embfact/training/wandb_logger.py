"""Weights & Biases as a Lightning logger; an error of W&B never stops a training."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from pytorch_lightning.loggers import Logger

from embfact.config.run_config import RunConfig
from embfact.results.wandb.access import has_key, home_of
from embfact.results.wandb.values import outcome, settings, summary
from embfact.runs.identity import Identity
from embfact.runs.record import RunRecord
from embfact.runs.status import State

log = logging.getLogger(__name__)

START = 30  # seconds that a run waits for the service
FINISH = 60  # seconds that a run waits for data to be sent


class Tracker:
    """The loggers of one run; `wandb_id` is the same in every attempt, so that W&B continues the run."""

    def __init__(self, config: RunConfig, identity: Identity, wandb_id: str | None = None) -> None:
        opening = partial(open_wandb, config, identity, wandb_id)
        self._wandb = ForgivingWandb(opening) if config.logger.mode != "none" else None
        self.loggers: list[Logger] = [self._wandb] if self._wandb else []

    def summarize(self, record: RunRecord) -> None:
        """Write the figures to the summary, for plots, and the whole record to the configuration, for tables."""
        if self._wandb:
            self._wandb.summarize(record)

    def close(self, ended: State) -> None:
        """End the W&B run with the state in which the run ended: the next run of a sweep must not write into it.

        If the run was interrupted before anything was logged, W&B is not started any more: there is no time.
        """
        if self._wandb and (self._wandb.is_open or ended != "interrupted"):
            if ended == "interrupted":
                self._wandb.mark(ended)
            self._wandb.close(succeeded=ended == "finished")


class ForgivingWandb(Logger):
    """A W&B run; its first error is written to the log and ends the logging, not the training.

    It is opened by `opening` when there is something to log: W&B takes two seconds to start, and the first training
    step need not wait for that.
    """

    def __init__(self, opening: Callable[[], Any]) -> None:
        super().__init__()
        self._opening = opening
        self._run: Any = None
        self._broken = False

    @property
    def is_open(self) -> bool:
        """Whether the W&B run has been opened."""
        return self._run is not None

    @property
    def name(self) -> None:
        """No name: Lightning would create a folder for it."""

    @property
    def version(self) -> None:
        """No version: Lightning would show it."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics of a step."""
        self._guard(lambda run: run.log({**metrics, "trainer/global_step": step}))

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Ignore Lightning's hyperparameters: the configuration was logged when the run was opened."""

    def summarize(self, record: RunRecord) -> None:
        """Add the result of a run that has ended."""

        def add(run: Any) -> None:
            run.config.update(outcome(record), allow_val_change=True)
            run.summary.update(summary(record))

        self._guard(add)

    def mark(self, status: State) -> None:
        """Note how a run without a record ended."""
        self._guard(lambda run: run.summary.update({"status": status}))

    def close(self, *, succeeded: bool) -> None:
        """Finish the W&B run."""
        self._guard(lambda run: run.finish(exit_code=0 if succeeded else 1))

    def _guard(self, action: Callable[[Any], Any]) -> None:
        if self._broken:
            return
        try:
            if self._run is None:
                self._run = self._opening()
            action(self._run)
        except Exception as error:
            self._broken = True
            what = "stopped working" if self.is_open else "did not start"
            log.warning("Weights & Biases %s; the run continues without it: %s", what, error)


def open_wandb(config: RunConfig, identity: Identity, wandb_id: str | None) -> Any:
    """Open a W&B run.

    Raises:
        Exception: Whatever prevents W&B from starting.
    """
    mode: Literal["offline", "online"] = "offline" if config.logger.mode == "offline" or not has_key() else "online"
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ["WANDB_MODE"] = mode  # W&B rejects other values here, although the argument below decides
    import wandb  # takes a second, so only if something is logged

    if mode != config.logger.mode:
        log.warning("no W&B key found (run `wandb login` or set WANDB_API_KEY): logging offline")
    timeout = float(os.environ.get("WANDB_INIT_TIMEOUT", START))
    run = wandb.init(
        name=identity.name,
        id=wandb_id,
        resume="allow",
        dir=home_of(identity.directory),
        mode=mode,
        project=config.logger.project,
        entity=config.logger.entity,
        **settings(config, identity),
        settings=wandb.Settings(
            console="off", silent=True, init_timeout=timeout, finish_timeout=FINISH, x_disable_stats=True
        ),
    )
    # The horizontal axis is the training step, not the call.
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    return run
