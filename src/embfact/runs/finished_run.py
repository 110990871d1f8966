"""A finished run, validated before anything heavy is imported, and the data sets its weights were trained on.

Light to import: no torch, no pyarrow, no Hydra.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from embfact.config.data_config import DataConfig
from embfact.config.sections import CHECKPOINT, expand_home
from embfact.data.classes import Classes
from embfact.errors import ModelError
from embfact.models.backbones import usable_positions
from embfact.models.tokenizer_files import ids_error, largest_id_in
from embfact.runs.record import FILE_NAME, RunRecord, read


@dataclass(frozen=True)
class FinishedRun:
    """A run that finished and kept its weights.

    Attributes:
        directory: The run directory.
        record: Its record.
        data: The data set it was trained on.
        label_names: Class names in the order of their codes, from the checkpoint; None for a regression.
        positions: Most tokens the model can take; None if its configuration does not say.
    """

    directory: Path
    record: RunRecord
    data: DataConfig
    label_names: tuple[str, ...] | None
    positions: int | None

    @property
    def checkpoint(self) -> Path:
        """The directory with the weights."""
        return self.directory / CHECKPOINT

    @property
    def classes(self) -> Classes | None:
        """Its classes; None for a regression."""
        return None if self.label_names is None else Classes(self.label_names)

    @property
    def outputs(self) -> int:
        """Columns of the logits: one for each class, or 1 for a regression."""
        return 1 if self.label_names is None else len(self.label_names)

    @property
    def eval_batch_size(self) -> int:
        """Rows that the run scored per batch; the same batches give bitwise equal results."""
        return int(self.record.config["trainer"]["eval_batch_size"])

    @property
    def data_dir(self) -> str | None:
        """The local mirror that the run used."""
        return self.record.config["paths"]["data_dir"]


def open_run(directory: Path) -> FinishedRun:
    """Open a run directory with ``record.json`` and ``checkpoint``.

    Raises:
        ModelError: If there is no such run, it is not finished, it failed, or its weights were not kept.
    """
    record = _record(directory)
    if record.error:
        raise ModelError(f"the run {record.name} failed ({record.error.message}); fix that and train it again")
    checkpoint = directory / CHECKPOINT
    if not checkpoint.is_dir():
        how = "checkpoint=none" if record.config.get("checkpoint") == "none" else f"{CHECKPOINT} was removed"
        raise ModelError(f"the weights of the run {record.name} were not kept ({how}); retrain with checkpoint=last")
    config = _model_config(checkpoint)
    try:
        data = DataConfig.model_validate(record.config["data"])
        names = None if data.target == "float" else _label_names(config)
    except (KeyError, TypeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{directory} was written by another version ({reason}); train the run again") from None
    _check_ids(checkpoint, config, record.name)
    return FinishedRun(directory, record, data, names, usable_positions(config))


def _record(directory: Path) -> RunRecord:
    if not directory.is_dir():
        raise ModelError(f"there is no run directory {directory}; give one such as outputs/default/NAME")
    if (directory / FILE_NAME).exists():
        return read(directory)
    runs = sorted(path.parent for path in directory.glob(f"*/{FILE_NAME}"))
    if runs:
        raise ModelError(f"{directory} holds {len(runs)} runs; give one of them, such as {runs[0]}")
    if (directory / "log.txt").exists():
        raise ModelError(f"the run {directory.name} is not finished; wait for it, or train it again (see its log.txt)")
    raise ModelError(f"{directory} has no {FILE_NAME}; give the directory of a finished run")


def _model_config(checkpoint: Path) -> dict[str, Any]:
    path = checkpoint / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); train the run again with force=true") from None
    if not isinstance(values, dict):
        raise ModelError(f"{path} is not a model configuration; train the run again with force=true")
    return values


def _check_ids(checkpoint: Path, config: dict[str, Any], name: str) -> None:
    """Refuse a tokenizer with ids beyond the table; training may not have met such an id."""
    rows, largest = config.get("vocab_size"), largest_id_in(checkpoint)
    detail = ids_error(largest, rows, f"the run {name}") if isinstance(rows, int) and largest is not None else None
    if detail:
        raise ModelError(detail)


def _label_names(config: dict[str, Any]) -> tuple[str, ...]:
    names = config["id2label"]
    return tuple(names[str(code)] for code in range(len(names)))


def data_before(model: Mapping[str, Any]) -> Iterator[DataConfig]:
    """The data sets that a backbone was fine-tuned on, as far as run directories still tell.

    Args:
        model: The values of the section ``model``; the backbone may be a run (``model.from_run``) or the checkpoint of
            one (``model.name_or_path``).
    """
    seen: set[Path] = set()
    while (directory := _run_of(model)) and directory not in seen:
        seen.add(directory)
        try:
            config = read(directory).config
            data, model = DataConfig.model_validate(config["data"]), config["model"]
        except (ModelError, KeyError, ValidationError):  # damaged, or of another version: it tells nothing
            return
        yield data


def _run_of(model: Mapping[str, Any]) -> Path | None:
    if model.get("from_run"):
        return Path(model["from_run"]).resolve()
    place = Path(expand_home(model.get("name_or_path") or "")).resolve()
    return place.parent if place.name == CHECKPOINT and (place.parent / FILE_NAME).is_file() else None
