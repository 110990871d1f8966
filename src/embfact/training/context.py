"""What all steps of one run share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pytorch_lightning.loggers import Logger

from embfact.config.run_config import RunConfig
from embfact.config.sections import CHECKPOINT
from embfact.profiling.profile import Profile
from embfact.runs.attempt import Attempt
from embfact.runs.identity import Identity
from embfact.runs.status import Phase
from embfact.system import signals


@dataclass(frozen=True)
class RunContext:
    """What all steps of one run share.

    Attributes:
        config: What to do.
        identity: Its hash, name and directory.
        attempt: How far an earlier attempt came, and where this one says how far it is; None for a training that
            leaves no trace (a trial of a search, a benchmark).
        loggers: Where losses and metrics go.
        profile: Where its seconds go; None where nobody asks.
    """

    config: RunConfig
    identity: Identity
    attempt: Attempt | None = None
    loggers: list[Logger] = field(default_factory=list)
    profile: Profile | None = None

    @property
    def directory(self) -> Path:
        """The run directory."""
        return self.identity.directory

    @property
    def weights(self) -> Path:
        """Folder of the trained weights."""
        return self.directory / CHECKPOINT

    @contextmanager
    def phase(self, phase: Phase, step: str) -> Iterator[None]:
        """A phase of the run, whose time goes to a step of the record.

        Raises:
            Interrupted: If a signal asked to stop before it.
        """
        if self.attempt is None:
            signals.check()
            yield
            return
        with self.attempt.phase(phase, step):
            yield
