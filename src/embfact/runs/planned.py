"""A run that is planned: its configuration, its name and place, and what is known of it already.

Light to import: no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from embfact.config.run_config import RunConfig
from embfact.config.sections import CHECKPOINT
from embfact.errors import ModelError
from embfact.runs.identity import Identity
from embfact.runs.outcome import Outcome, outcome_of
from embfact.runs.record import RunRecord, read
from embfact.runs.status import Status


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan.

    Attributes:
        config: Its configuration.
        identity: Its name and directory, or None if its data or backbone is not there.
        record: Its record, if it is finished (or has diverged, which it would again) and need not be done again.
        status: How far an earlier attempt came.
        problem: Why it cannot start, in words.
        elsewhere: Whether the record was found at the URL that runs are published to, not here.
        planned: When; what ended after that needs not be done again, not even a failure.
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
        """Whether it is still to be done."""
        return self.identity is not None and self.record is None

    @property
    def key(self) -> str:
        """What tells it from all other runs of a plan."""
        return str(self.identity.directory) if self.identity else f"{self.title}: {self.problem}"

    def on_threads(self, threads: int) -> PlannedRun:
        """This run with so many CPU threads; its hash stays the same."""
        trainer = self.config.trainer.model_copy(update={"threads": threads})
        return replace(self, config=self.config.model_copy(update={"trainer": trainer}))

    def ended_since(self) -> RunRecord | None:
        """The record of the run if it was begun after it was planned and has ended: another sweep has done it."""
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
        words = (config.data.name, config.model.label, config.factorization.name, config.size or "", f"s{config.seed}")
        return self.identity.name if self.identity else " ".join(word for word in words if word)


def finished_record(identity: Identity, config: RunConfig) -> RunRecord | None:
    """The record of a run that needs not be done again.

    It is finished and has kept the weights that are asked for; or it has diverged, which the same options would again.
    """
    try:
        record = read(identity.directory)
    except ModelError:
        return None
    if record.hash != identity.hash or record.status == "failed":
        return None
    weights = identity.directory / CHECKPOINT / "model.safetensors"
    return record if record.status == "diverged" or config.checkpoint == "none" or weights.is_file() else None


def ended_elsewhere(run: PlannedRun) -> Outcome | None:
    """What came of a run that another process has done since it was planned; None if it is still to be done."""
    record = run.ended_since()
    if record is None and run.identity and not run.config.force:
        record = finished_record(run.identity, run.config)
    return None if record is None else outcome_of(record)
