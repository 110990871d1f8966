"""What the weights of a run have learned before: the data sets of the runs that it started from, and theirs.

Light to import: no torch, no Hydra.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from embfact.config.sections import CHECKPOINT, DataConfig, expand_home
from embfact.errors import ModelError
from embfact.runs.record import FILE_NAME, read


def data_before(model: Mapping[str, Any]) -> Iterator[DataConfig]:
    """The data sets that the weights of a backbone were fine-tuned on, as far as run directories still tell.

    Args:
        model: The values of a section ``model``; the backbone may be a run (``model.from_run``) or the checkpoint of
            one (``model.name_or_path``).
    """
    seen: set[Path] = set()
    while (directory := _run_of(model)) and directory not in seen:
        seen.add(directory)
        try:
            config = read(directory).config
            data, model = DataConfig.model_validate(config["data"]), config["model"]
        except (ModelError, KeyError, ValidationError):  # of another embfact, or damaged: it tells nothing
            return
        yield data


def _run_of(model: Mapping[str, Any]) -> Path | None:
    if model.get("from_run"):
        return Path(model["from_run"]).resolve()
    place = Path(expand_home(model.get("name_or_path") or "")).resolve()
    return place.parent if place.name == CHECKPOINT and (place.parent / FILE_NAME).is_file() else None
