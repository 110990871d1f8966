"""The run that has trained what another one would train: they differ only in how the table is stored afterwards.

Light to import: no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embfact.config.run_config import RunConfig
from embfact.config.sections import CHECKPOINT
from embfact.models.weight_files import WEIGHTS
from embfact.runs.identity import identify
from embfact.runs.planned import finished_record
from embfact.runs.record import RunRecord


@dataclass(frozen=True)
class FloatRun:
    """A finished run in float32, with its weights."""

    directory: Path
    record: RunRecord


def float_run(config: RunConfig) -> FloatRun | None:
    """The finished run in float32 whose weights, stored as `config` asks, are those that it would end with; or None.

    There is none if the storage decides more than the last step: the size within a budget, or a training that imitates
    it. A run that is profiled, or forced to train again, is trained.
    """
    if config.storage == "float32" or config.quantization == "aware" or config.force or config.profile:
        return None
    if config.target is not None and config.target.budget is not None:
        return None
    whole = config.model_copy(update={"storage": "float32"})
    identity = identify(whole)
    record = finished_record(identity, whole)
    if record is None or record.status != "finished" or not (identity.directory / CHECKPOINT / WEIGHTS).is_file():
        return None
    return FloatRun(identity.directory, record)
