"""What makes an earlier run fit for a new one: to start from (``model.from_run``) or to learn from (``task.distill``).

Light to import: no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from embfact.config.data_config import DataConfig
from embfact.config.run_config import RunConfig
from embfact.config.sections import ModelConfig
from embfact.data.fingerprint import fingerprint
from embfact.errors import ModelError
from embfact.formatting.typed import typed
from embfact.runs.finished_run import FinishedRun, data_before, open_run
from embfact.runs.record import RunRecord

# The options that decide what a backbone is.
BACKBONE = ("label", "name_or_path", "revision", "architecture", "tokenizer", "static")
# The options that decide which rows are held out of training, and their labels.
ROWS = (
    *("train_split", "text", "label", "target", "label_names", "selection_size", "selection_groups"),
    *("split_seed", "drop_reported"),
)


def check_start(config: RunConfig) -> None:
    """Refuse a ``model.from_run`` that is not a finished dense run of the same backbone on the same rows.

    A backbone given in any other way must not have been trained on texts of the run's data.

    Raises:
        ModelError: With the remedy.
        DataError: If the data of `config` is missing, so that it cannot be compared.
    """
    if config.model.from_run is None:
        _refuse_shared_texts(config)
        return
    run = open_run(Path(config.model.from_run))
    refuse_compressed(run.record, "model.from_run")
    _refuse_another_backbone(run.record, config.model)
    if not config.model.static:  # a static model has a default pooling, which the loader knows and compares
        _refuse_another_head(run.record, config.task.pooling)
    refuse_other_rows(run, config)


def _refuse_shared_texts(config: RunConfig) -> None:
    """A checkpoint of a run may be trained on other data, but not on texts that it has seen."""
    for data in data_before(config.model.model_dump()):
        if data.shares_text(config.data):
            raise ModelError(
                f"model.name_or_path={config.model.name_or_path} was trained on {data.name}, which contains texts of "
                f"data={config.data.name}: held-out and reported rows would not be new to it; start from another model"
            )


def refuse_compressed(record: RunRecord, option: str) -> None:
    """Refuse a run that is not dense; `option` named it."""
    method, storage = record.method.name, record.method.storage
    if method != "none" or storage != "float32":
        kept = f"factorization={method}" + ("" if storage == "float32" else f" and storage={storage}")
        raise ModelError(
            f"{option} needs a dense run, but {record.name} was trained with {kept}; "
            "give a run with factorization=none and storage=float32"
        )


def _refuse_another_head(record: RunRecord, pooling: str | None) -> None:
    started = record.config["task"].get("pooling")  # older runs have no such option
    if started != pooling:
        found, wanted = ("null" if name is None else name for name in (started, pooling))
        raise ModelError(
            f"the run {record.name} was trained with task.pooling={found}, but this one has {wanted}; "
            f"set task.pooling={found}, or start from another run"
        )


def _refuse_another_backbone(record: RunRecord, model: ModelConfig) -> None:
    if unlike := differing(backbone_of(record), model, BACKBONE):
        options = ", ".join(f"model.{name}" for name in unlike if name != "label") or "model.name"
        raise ModelError(
            f"the backbone of the run {record.name} is {record.model.name}, but this command has {model.label}; "
            f"use the model in its config.yaml (they differ in {options})"
        )


def refuse_other_rows(run: FinishedRun, config: RunConfig) -> None:
    """Refuse a run that may have been trained on rows that are held out or reported here.

    Raises:
        ModelError: With the remedy.
        DataError: If the data of `config` is missing, so that it cannot be compared.
    """
    record, trained = run.record, run.data
    if record.data.fingerprint != fingerprint(config.data, config.paths.data_dir, config.paths.cache_dir):
        raise ModelError(
            f"the run {record.name} was trained on other data ({record.data.name}) than data={config.data.name} and "
            "may have seen rows that are held out or reported here; give a run on the same data and splits"
        )
    before, now = (
        data.model_copy(update={"split_seed": data.split_seed_of(seed)})
        for data, seed in ((trained, record.seed), (config.data, config.seed))
    )
    if unlike := differing(before, now, ROWS):
        options = ", ".join(f"data.{name}={typed(getattr(before, name))}" for name in unlike)
        raise ModelError(
            f"the run {record.name} was trained with {options} and may have seen rows that are held out here; "
            "use the same values, or give a run with yours"
        )


def backbone_of(record: RunRecord) -> ModelConfig:
    """The backbone that a run started from, with a `ModelError` if the record cannot be read."""
    try:
        return ModelConfig.model_validate(record.config["model"])
    except (KeyError, TypeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"the run {record.name} was written by another version ({reason}); train it again") from None


def differing(one: ModelConfig | DataConfig, other: ModelConfig | DataConfig, names: Sequence[str]) -> list[str]:
    """The options among some names whose values differ."""
    return [name for name in names if getattr(one, name) != getattr(other, name)]
