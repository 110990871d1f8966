"""The data set to score a finished run on, and whether the two are compatible.

Light to import: no torch, no pyarrow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.override_parser.types import Override, OverrideType
from pydantic import BaseModel, ValidationError

from embfact.config.compose import Composer, hydra_session
from embfact.config.data_config import DataConfig
from embfact.config.sections import PathsConfig, TrainerConfig
from embfact.config.validation import errors_of
from embfact.errors import ConfigError, DataError, ErrorDetail
from embfact.runs.finished_run import FinishedRun, data_before
from embfact.tasks.metrics import check_metrics

BATCH = "trainer.eval_batch_size"

SectionT = TypeVar("SectionT", bound=BaseModel)


@dataclass(frozen=True)
class Target:
    """What to score a run on.

    Attributes:
        data: The data set.
        data_dir: Folder of the local mirror, or None.
        cache_dir: Folder of the tokenised data.
        batch_size: Rows scored at once.
    """

    data: DataConfig
    data_dir: str | None
    cache_dir: str
    batch_size: int


def read_target(run: FinishedRun, conf_dir: Path, arguments: Sequence[str]) -> Target:
    """Parse the overrides that choose a data set.

    With ``data=NAME`` it comes from `conf_dir`, as for training; otherwise it is the run's own plus the overrides.

    Args:
        run: The run.
        conf_dir: The folder with ``train.yaml``.
        arguments: Overrides as typed, e.g. ``["data=sst2", "data.eval_size=100"]``.

    Raises:
        ConfigError: With every error found.
        DataError: If run and data set are incompatible.
    """
    with hydra_session(conf_dir) as composer:
        overrides = _allowed(composer, arguments)
        chosen = any(override.key_or_group == "data" for override in overrides)
        own = [o for o in overrides if o.key_or_group.startswith("data.") and not chosen]
        values, unset = composer.values([str(o.input_line) for o in overrides if o not in own])
    if not chosen:
        changes = {o.key_or_group.removeprefix("data."): o.value() for o in own}
        values["data"] = run.record.config["data"] | changes
    errors: list[ErrorDetail] = [*unset]
    data = _part(DataConfig, _without_training_file(values["data"]), "data", errors)
    paths = _part(PathsConfig, values["paths"], "paths", errors)
    # Only the batch size of the trainer section is used here.
    trainer = _part(TrainerConfig, values["trainer"], "trainer", errors)
    if errors or data is None or paths is None or trainer is None:
        raise ConfigError(errors)
    batched = any(o.key_or_group == BATCH for o in overrides)
    batch_size = trainer.eval_batch_size if batched else run.eval_batch_size
    check_fit(run, data)
    return Target(data, paths.data_dir or run.data_dir, paths.cache_dir, batch_size)


def check_fit(run: FinishedRun, data: DataConfig) -> None:
    """Refuse a data set that the run cannot be scored on.

    Raises:
        DataError: If targets, columns, classes or lengths are incompatible, or the run was trained on its texts.
        UserError: If the metrics do not suit the run's outputs.
    """
    name = f"the run {run.record.name}"
    for learned in (run.data, *data_before(run.record.config.get("model") or {})):
        if learned.shares_text(data):
            raise DataError(
                f"{name} was trained on {learned.name}, which contains texts of {data.name}: figures on training texts "
                "say nothing about new texts; choose other data"
            )
    kinds = {"class": "classes", "float": "numbers (data.target=float)"}
    if data.target != run.data.target:
        raise DataError(
            f"{name} predicts {kinds[run.data.target]}, but {data.name} has {kinds[data.target]}; choose other data"
        )
    sides = {1: "single texts", 2: "pairs"}
    if len(data.text) != len(run.data.text):
        here, there = sides[len(run.data.text)], sides[len(data.text)]
        raise DataError(
            f"{name} was trained on {here}, but {data.name} has {there} (data.text={data.text}); choose other data"
        )
    if run.classes and data.label_names and None in run.classes.codes(data.label_names):
        raise DataError(_other_classes(name, run.classes.names, data))
    if run.positions and data.max_length > run.positions:
        raise DataError(f"{name} takes at most {run.positions} tokens; set data.max_length={run.positions} or less")
    check_metrics(data.metrics, run.outputs)


def _other_classes(name: str, names: Sequence[str], data: DataConfig) -> str:
    found = data.label_names or []
    remedy = "choose data with these classes"
    if len(found) == len(names):
        remedy = f'if they mean the same in this order, add "{named(names)}"'
    return f"{data.name} has the classes {', '.join(found)}, but {name} has {', '.join(names)}; {remedy}"


def named(names: Sequence[str]) -> str:
    """The override that gives a data set these classes, in this order."""
    quoted = (name if re.fullmatch(r"[A-Za-z_]\w*", name) else f"'{name}'" for name in names)
    return f"data.label_names=[{','.join(quoted)}]"


def _allowed(composer: Composer, arguments: Sequence[str]) -> list[Override]:
    """Parse overrides that may be given for a finished run.

    Raises:
        ConfigError: With every error found.
    """
    overrides, errors = composer.read(arguments)
    for override in overrides:
        key, word = override.key_or_group, str(override.input_line)
        if key != "data" and not key.startswith(("data.", "paths.")) and key != BATCH:
            remedy = f"for a finished run, only data=, data.*, paths.* and {BATCH} can be changed"
            errors.append(ErrorDetail(f"{key} is a training option", word, remedy))
        elif override.is_sweep_override():
            errors.append(ErrorDetail("only one data set at a time", word, "use one command for each value"))
        elif override.type == OverrideType.DEL:
            errors.append(ErrorDetail(f"{key} cannot be removed", word, f"set it: {key}=VALUE"))
    if errors:
        raise ConfigError(errors)
    return overrides


def _without_training_file(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of the user's files, only the scored one is needed; it also stands in for the training file, never read."""
    if values.get("source") != "files" or values.get("train_file"):
        return values
    if not values.get("validation_file"):
        raise ConfigError([ErrorDetail("data=files needs the file to score", "none", "add data.validation_file=FILE")])
    return {**values, "train_file": values["validation_file"]}


def _part(model: type[SectionT], values: Any, section: str, errors: list[ErrorDetail]) -> SectionT | None:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        errors += errors_of(error, model, f"{section}.")
        return None
