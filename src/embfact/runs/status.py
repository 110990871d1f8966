"""``status.json``: the progress of a run from the moment it is planned.

`record.json` holds the result; the status is all there is of a run that has not ended. Light to import: no torch.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from embfact.system.atomic import write_text

FILE_NAME = "status.json"
LOCK = "run.lock"  # held by the process that trains the run; see `embfact.system.lock`
RESUME = "resume"  # folder that an interrupted run resumes from; see `embfact.runs.resume`

State = Literal["pending", "running", "finished", "failed", "diverged", "interrupted"]
Phase = Literal["loading", "caching", "factorizing", "training", "checkpointing", "evaluating", "recording"]


class Status(BaseModel):
    """The progress of a run, as stored in `status.json`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    hash: str
    state: State
    phase: Phase | None = Field(None, description="what the run is doing, or was doing when it stopped")
    step: int = Field(0, description="optimizer steps done")
    steps: int | None = Field(None, description="optimizer steps in all; null before training")
    loss: float | None = Field(None, description="training loss of the last step; null before training")
    seconds_left: float | None = Field(None, description="of the training, at the pace of this attempt")
    attempt: int = Field(0, description="how often it was started; 0 while it is pending")
    created: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC), description="when it was planned")
    updated: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC), description="when this was written")
    seconds: float = Field(0.0, description="wall time of all attempts until `updated`")
    threads: int | None = Field(None, description="CPU threads of the first attempt and of those that resume it")
    host: str | None = None
    pid: int | None = None
    message: str | None = Field(None, description="why it failed, diverged or was interrupted")
    wandb_id: str | None = Field(None, description="id of its W&B run, the same in every attempt")
    published: str | None = Field(None, description="URL that it was copied to")
    science: dict[str, Any] = Field({}, description="the values that are hashed")

    def now(self, **changes: Any) -> Status:
        """A copy with some fields changed, dated now."""
        return self.model_copy(update={**changes, "updated": datetime.now(UTC)})


def read_status(directory: Path) -> Status | None:
    """Read the status of a run directory; None if it is missing or damaged: it can be recreated."""
    try:
        return Status.model_validate_json((directory / FILE_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def write_status(status: Status, directory: Path) -> None:
    """Write ``status.json`` atomically; the directory is created if necessary.

    Raises:
        OSError: If it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(status.model_dump(mode="json"), indent=2, ensure_ascii=False)
    # A status lost in a power cut is recreated: not worth waiting for the disk.
    write_text(directory / FILE_NAME, text + "\n", durable=False)
