"""The context of a run: its configuration, its place on disk, its loggers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
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
        config: The configuration.
        identity: Its hash, name and directory.
        attempt: What an earlier attempt saved, and the status of this one; None for a training that leaves no trace (a
            trial of a search, a benchmark).
        loggers: Take losses and metrics.
        profile: Where its seconds go; None if not profiled.
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

    def phase(self, phase: Phase, step: str) -> AbstractContextManager[None]:
        """Enter a phase, which the status shows, and time it as a step of the record.

        Raises:
            Interrupted: If a signal asked to stop before it.
        """
        signals.check()
        return self.attempt.phase(phase, step) if self.attempt else nullcontext()
