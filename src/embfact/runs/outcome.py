"""What came of one run of a sweep.

Light to import: no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from embfact.runs.record import RunRecord


@dataclass(frozen=True)
class Outcome:
    """How a run ended here.

    Attributes:
        state: As in its status; ``busy`` if another process has it, and ``unstarted`` if the sweep stopped before it.
        message: Why it is not finished, in words.
        record: Its record, unless it has none.
        unpublished: Why it could not be copied to ``output_url``, in words.
    """

    state: Literal["finished", "failed", "diverged", "interrupted", "busy", "unstarted"]
    message: str = ""
    record: RunRecord | None = None
    unpublished: str = ""


def outcome_of(record: RunRecord) -> Outcome:
    """What a record says of its run."""
    return Outcome(record.status, record.error.message if record.error else "", record)
