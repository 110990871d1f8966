"""The services that show runs: Weights & Biases, and trackio, a local dashboard with the same calls.

Light to import: a service is imported when its first run is opened, which takes a second.
"""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, Literal

from embfact.config.sections import LoggerConfig
from embfact.errors import ConfigError, extra_errors
from embfact.results.wandb.access import has_key, home_of

log = logging.getLogger(__name__)

STEP = "trainer/global_step"
SCATTER = "wandb/scatter/v0"  # W&B's own chart of two columns of a table
START = 30  # seconds that a run waits for the service
FINISH = 60  # seconds that a run waits for data to be sent


@dataclass(frozen=True)
class Opening:
    """What a service is told of a run when it is opened.

    Attributes:
        name: Its name.
        id: Equal in every attempt at the run, which the service then continues.
        directory: Where W&B's files go, unless WANDB_DIR says otherwise.
        group: Runs of one experiment.
        job_type: What kind of run it is.
        tags: Words to find it by.
        config: What runs are searched, grouped and filtered by.
    """

    name: str
    id: str | None
    directory: Path
    group: str
    job_type: str
    config: Mapping[str, Any]
    tags: Sequence[str] = ()


class ServiceRun(ABC):
    """An open run of a service: what the services have in common.

    Args:
        library: The module of the service.
        run: Its run.
    """

    title: ClassVar[str]

    def __init__(self, library: Any, run: Any) -> None:
        self._library = library
        self._run = run

    @classmethod
    @abstractmethod
    def open(cls, logger: LoggerConfig, opening: Opening) -> ServiceRun:
        """Open a run.

        Raises:
            Exception: Whatever prevents the service from starting.
        """

    @abstractmethod
    def log(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Log points of curves at a training step."""

    @abstractmethod
    def conclude(self, config: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
        """Add what is known once the run has ended."""

    @abstractmethod
    def finish(self, *, succeeded: bool) -> None:
        """End the run."""

    def log_table(self, name: str, lines: Sequence[Mapping[str, Any]]) -> None:
        """Log a table: a line per mapping, a column per key; missing values are empty."""
        self._run.log({name: self._table(lines)})

    def log_scatter(self, name: str, lines: Sequence[Mapping[str, Any]], x: str, y: str, title: str) -> None:
        """Log the table ``NAME_table`` and, where the service has charts, a scatter plot of two of its columns."""
        self.log_table(f"{name}_table", lines)

    def log_picture(self, name: str, path: Path, caption: str) -> None:
        """Log a picture."""
        self._run.log({name: self._library.Image(str(path), caption=caption)})

    def _table(self, lines: Sequence[Mapping[str, Any]]) -> Any:
        columns = list(dict.fromkeys(column for line in lines for column in line))
        return self._library.Table(columns=columns, data=[[line.get(column) for column in columns] for line in lines])


class WandbRun(ServiceRun):
    """A run of Weights & Biases."""

    title = "Weights & Biases"

    @classmethod
    def open(cls, logger: LoggerConfig, opening: Opening) -> WandbRun:
        """Open a run; offline if there is no key, of which `embfact.training.tracker` warns.

        Raises:
            Exception: Whatever prevents W&B from starting.
        """
        mode: Literal["offline", "online"] = "offline" if logger.mode == "offline" or not has_key() else "online"
        os.environ.setdefault("WANDB_SILENT", "true")
        os.environ["WANDB_MODE"] = mode  # W&B rejects other values here, although the argument below decides
        import wandb

        timeout = float(os.environ.get("WANDB_INIT_TIMEOUT", START))
        run = wandb.init(
            name=opening.name,
            id=opening.id,
            resume="allow",
            dir=home_of(opening.directory),
            mode=mode,
            project=logger.project,
            entity=logger.entity,
            group=opening.group,
            job_type=opening.job_type,
            tags=list(opening.tags),
            config=dict(opening.config),
            settings=wandb.Settings(
                console="off",
                silent=True,
                init_timeout=timeout,
                finish_timeout=FINISH,
                reinit="finish_previous",  # otherwise W&B would go on with a run that an error has left open
                x_disable_stats=True,
            ),
        )
        # The horizontal axis is the training step, not the call.
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP, step_sync=True)
        return cls(wandb, run)

    def log(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Log points of curves at a training step."""
        self._run.log({**metrics, STEP: step})

    def log_scatter(self, name: str, lines: Sequence[Mapping[str, Any]], x: str, y: str, title: str) -> None:
        """Log a table with a custom chart, which shows the lines of all runs that are selected."""
        axes, words = {"x": x, "y": y}, {"title": title}
        self._run.log({name: self._library.plot_table(SCATTER, self._table(lines), axes, words)})

    def conclude(self, config: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
        """Update configuration and summary."""
        self._run.config.update(dict(config), allow_val_change=True)
        self._run.summary.update(dict(summary))

    def finish(self, *, succeeded: bool) -> None:
        """End the run, and wait until its data are sent."""
        self._run.finish(exit_code=0 if succeeded else 1)


class TrackioRun(ServiceRun):
    """A run of trackio, which keeps it in a database of this machine, or sends it where TRACKIO_SPACE_ID says."""

    title = "trackio"

    @classmethod
    def open(cls, logger: LoggerConfig, opening: Opening) -> TrackioRun:
        """Open a run.

        Raises:
            Exception: Whatever prevents trackio from starting.
        """
        import trackio

        # trackio knows a run by its name alone.
        name = "-".join(filter(None, (opening.name, opening.id)))
        config = {**opening.config, "job_type": opening.job_type, "tags": list(opening.tags)}
        with _noted():
            run = trackio.init(
                project=logger.project,
                name=name,
                group=opening.group,
                config=config,
                resume="allow",
                embed=False,
                auto_log_gpu=False,
            )
        return cls(trackio, run)

    def log(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Log points of curves at a training step."""
        self._run.log(dict(metrics), step=step)

    def conclude(self, config: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
        """Log the summary as last values: trackio has none, and its configuration is sent with the first point."""
        self._run.log(dict(summary))

    def finish(self, *, succeeded: bool) -> None:
        """End the run, and wait until its data are written."""
        with _noted():
            self._run.finish()


@contextmanager
def _noted() -> Any:
    """What trackio prints goes to the log: a sweep would print it for every run."""
    with redirect_stdout(StringIO()) as printed:
        yield
    for line in printed.getvalue().splitlines():
        log.info("trackio: %s", line)


SERVICES: dict[str, type[ServiceRun]] = {"wandb": WandbRun, "trackio": TrackioRun}


def check_installed(loggers: Iterable[LoggerConfig]) -> None:
    """Refuse trackio where it is not installed, before anything is imported.

    Raises:
        ConfigError: If it is missing.
    """
    if "trackio" in {logger.used for logger in loggers} and (
        errors := extra_errors("trackio", "trackio", "logger=trackio")
    ):
        raise ConfigError(errors)
