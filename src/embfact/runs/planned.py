"""A planned run: its configuration, its identity, what is known about it already, and how it ends; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from embfact.config.run_config import RunConfig
from embfact.config.sections import CHECKPOINT
from embfact.errors import ModelError
from embfact.runs.identity import Identity
from embfact.runs.record import RunRecord, read
from embfact.runs.status import Status


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended.

    Attributes:
        state: As in its status; ``busy`` if another process is running it, ``unstarted`` if the sweep stopped first.
        message: Why it is not finished.
        record: Its record, if it has one.
        unpublished: Why it could not be copied to ``output_url``.
    """

    state: Literal["finished", "failed", "diverged", "interrupted", "busy", "unstarted"]
    message: str = ""
    record: RunRecord | None = None
    unpublished: str = ""


def outcome_of(record: RunRecord) -> Outcome:
    """The outcome that is recorded in a record."""
    return Outcome(record.status, record.error.message if record.error else "", record)


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan.

    Attributes:
        config: Its configuration.
        identity: Its name and directory, or None if its data or backbone is missing.
        record: Its record, if it finished (or diverged, which it would again) and need not be repeated.
        status: How far an earlier attempt got.
        problem: Why it cannot start.
        elsewhere: Whether the record was found at the URL that runs are published to, not here.
        planned: When; a run that ended after that is not repeated, even if it failed.
    """

    config: RunConfig
    identity: Identity | None
    record: RunRecord | None = None
    problem: str | None = None
    status: Status | None = None
    elsewhere: bool = False
    planned: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def pending(self) -> bool:
        """Whether it still has to run."""
        return self.identity is not None and self.record is None

    @property
    def key(self) -> str:
        """What distinguishes it from all other runs of a plan."""
        return str(self.identity.directory) if self.identity else f"{self.title}: {self.problem}"

    def on_threads(self, threads: int) -> PlannedRun:
        """This run with this many CPU threads; its hash stays the same."""
        trainer = self.config.trainer.model_copy(update={"threads": threads})
        return replace(self, config=self.config.model_copy(update={"trainer": trainer}))

    def ended_since(self) -> RunRecord | None:
        """The record of the run if another sweep started it after it was planned here, and it has ended."""
        if self.identity is None:
            return None
        try:
            record = read(self.identity.directory)
        except ModelError:
            return None
        return record if record.hash == self.identity.hash and record.started >= self.planned else None

    @property
    def title(self) -> str:
        """Its name, or what is known of it."""
        config = self.config
        parts = (config.data.name, config.model.label, config.factorization.name, config.size or "", f"s{config.seed}")
        return self.identity.name if self.identity else " ".join(part for part in parts if part)


def finished_record(identity: Identity, config: RunConfig) -> RunRecord | None:
    """The record of a run that need not be repeated: finished with the weights asked for, or diverged."""
    try:
        record = read(identity.directory)
    except ModelError:
        return None
    if record.hash != identity.hash or record.status == "failed":
        return None
    weights = identity.directory / CHECKPOINT / "model.safetensors"
    return record if record.status == "diverged" or config.checkpoint == "none" or weights.is_file() else None


def ended_elsewhere(run: PlannedRun) -> Outcome | None:
    """The outcome of a run that another process has completed since it was planned; None if it still has to run."""
    record = run.ended_since()
    if record is None and run.identity and not run.config.force:
        record = finished_record(run.identity, run.config)
    return None if record is None else outcome_of(record)
