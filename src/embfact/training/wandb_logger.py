"""Weights & Biases as a logger of Lightning's; an error of W&B never stops a training."""

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
FINISH = 60  # seconds that a run waits for what is still to be sent


class Tracker:
    """The loggers of one run.

    Args:
        config: The run's configuration.
        identity: Its name and directory.
        wandb_id: The same in every attempt, so that W&B goes on with the run.
    """

    def __init__(self, config: RunConfig, identity: Identity, wandb_id: str | None = None) -> None:
        opening = partial(open_wandb, config, identity, wandb_id)
        self._wandb = ForgivingWandb(opening) if config.logger.mode != "none" else None
        self.loggers: list[Logger] = [self._wandb] if self._wandb else []

    def summarize(self, record: RunRecord) -> None:
        """Put the figures where a W&B plot finds them, and the whole record where tables are made from it."""
        if self._wandb:
            self._wandb.conclude(record)

    def close(self, ended: State) -> None:
        """End the W&B run, marked as finished or failed: the next run of a sweep must not write into it.

        One that was interrupted before W&B knew of it is not opened for that: there is not the time.

        Args:
            ended: How the run ended.
        """
        if self._wandb and (self._wandb.is_open or ended != "interrupted"):
            if ended == "interrupted":
                self._wandb.mark(ended)
            self._wandb.close(succeeded=ended == "finished")


class ForgivingWandb(Logger):
    """A W&B run; its first error is written to the log and ends the logging, not the training.

    It is opened when there is something to log: W&B takes two seconds to import and to start, which the first step of a
    training need not wait for.

    Args:
        opening: Opens the run.
    """

    def __init__(self, opening: Callable[[], Any]) -> None:
        super().__init__()
        self._opening = opening
        self._run: Any = None
        self._broken = False

    @property
    def is_open(self) -> bool:
        """Whether W&B knows of the run."""
        return self._run is not None

    @property
    def name(self) -> None:
        """No name: Lightning makes a folder of it."""

    @property
    def version(self) -> None:
        """No version: Lightning shows it."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics of a step."""
        self._guard(lambda run: run.log({**metrics, "trainer/global_step": step}))

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Lightning's hyperparameters; the configuration went in when the run was opened."""

    def conclude(self, record: RunRecord) -> None:
        """Add what is known of a run that has ended."""

        def add(run: Any) -> None:
            run.config.update(outcome(record), allow_val_change=True)
            run.summary.update(summary(record))

        self._guard(add)

    def mark(self, status: State) -> None:
        """Say how a run ended that has no record."""
        self._guard(lambda run: run.summary.update({"status": status}))

    def close(self, *, succeeded: bool) -> None:
        """Finish the W&B run, marked as it ended."""
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
            log.warning("Weights & Biases %s; the run goes on without it: %s", what, error)


def open_wandb(config: RunConfig, identity: Identity, wandb_id: str | None) -> Any:
    """A W&B run of its own for this run.

    Raises:
        Exception: Whatever keeps W&B from starting.
    """
    mode: Literal["offline", "online"] = "offline" if config.logger.mode == "offline" or not has_key() else "online"
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ["WANDB_MODE"] = mode  # W&B does not start with another word there, though it is not the one that counts
    import wandb  # a second, and only where something is logged

    if mode != config.logger.mode:
        log.warning("no W&B key found (run `wandb login` or set WANDB_API_KEY): logging offline")
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
            console="off", silent=True, init_timeout=_start(), finish_timeout=FINISH, x_disable_stats=True
        ),
    )
    # Training steps are the axis, not calls.
    run.define_metric("trainer/global_step")
    run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    return run


def _start() -> float:
    return float(os.environ.get("WANDB_INIT_TIMEOUT", START))
