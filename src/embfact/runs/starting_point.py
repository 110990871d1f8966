"""Whether a run may start from the weights of another one (``model.from_run``): train, factorize, retrain.

So do FWSVD (Hsu et al. 2022), MESSI (Maalouf et al. 2021) and Acharya et al. (2019). Light to import: no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from embfact.config.run_config import RunConfig
from embfact.config.sections import DataConfig, ModelConfig
from embfact.data.fingerprint import fingerprint
from embfact.errors import ModelError
from embfact.formatting.typed import typed
from embfact.runs.finished_run import open_run
from embfact.runs.lineage import data_before
from embfact.runs.record import RunRecord

BACKBONE = ("label", "name_or_path", "revision", "architecture", "tokenizer", "static")
# What decides which rows are held out of training, and what they are labelled with.
ROWS = ("train_split", "text", "label", "target", "label_names", "selection_size", "selection_groups", "split_seed")


def check_start(config: RunConfig) -> None:
    """Refuse a run to start from that is not a finished dense one of the same backbone on the same rows.

    Args:
        config: The run that is to start there. Where it starts from a backbone, that must not have been trained on
            texts of its data.

    Raises:
        ModelError: In words, with the remedy.
        DataError: If the data of `config` is not there, so that it cannot be compared.
    """
    if config.model.from_run is None:
        _refuse_shared_texts(config)
        return
    run = open_run(Path(config.model.from_run))
    _refuse_compressed(run.record)
    _refuse_another_backbone(run.record, config.model)
    if not config.model.static:  # whose default is a pooling too: the loader, which knows it, compares
        _refuse_another_head(run.record, config.task.pooling)
    _refuse_other_rows(run.record, run.data, config)


def _refuse_shared_texts(config: RunConfig) -> None:
    """A checkpoint of a run may go on to other data, but not to texts that it has learned already."""
    for data in data_before(config.model.model_dump()):
        if data.shares_text(config.data):
            raise ModelError(
                f"model.name_or_path={config.model.name_or_path} was trained on {data.name}, which has texts of "
                f"data={config.data.name}, so that held-out and reported rows would not be new to it; "
                "start from another model"
            )


def _refuse_compressed(record: RunRecord) -> None:
    method, storage = record.method.name, record.method.storage
    if method != "none" or storage != "float32":
        kept = f"factorization={method}" + ("" if storage == "float32" else f" and storage={storage}")
        raise ModelError(
            f"model.from_run needs a dense run, and {record.name} was trained with {kept}; "
            "give a run of factorization=none with storage=float32"
        )


def _refuse_another_head(record: RunRecord, pooling: str | None) -> None:
    started = record.config["task"].get("pooling")  # older runs have no such option
    if started != pooling:
        found, wanted = ("null" if name is None else name for name in (started, pooling))
        raise ModelError(
            f"the run {record.name} was trained with task.pooling={found}, this one has {wanted}; "
            f"set task.pooling={found}, or give another run"
        )


def _refuse_another_backbone(record: RunRecord, model: ModelConfig) -> None:
    try:
        started = ModelConfig.model_validate(record.config["model"])
    except (KeyError, TypeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"the run {record.name} was written by another embfact ({reason}); train it again") from None
    if differing := _differing(started, model, BACKBONE):
        options = ", ".join(f"model.{name}" for name in differing if name != "label") or "model.name"
        raise ModelError(
            f"the run {record.name} has the backbone {record.model.name}, and this command names {model.label}; "
            f"choose the model of its config.yaml (they differ in {options})"
        )


def _refuse_other_rows(record: RunRecord, trained: DataConfig, config: RunConfig) -> None:
    """Rows held out or reported here must not have been trained on there."""
    if record.data.fingerprint != fingerprint(config.data, config.paths.data_dir, config.paths.cache_dir):
        raise ModelError(
            f"the run {record.name} was trained on other data ({record.data.name}) than data={config.data.name}, so it "
            "may have learned rows that are held out or reported here; start from a run on the same data and splits"
        )
    if differing := _differing(trained, config.data, ROWS):
        options = ", ".join(f"data.{name}={typed(getattr(trained, name))}" for name in differing)
        raise ModelError(
            f"the run {record.name} was trained with {options}, so it may have learned rows that are held out here; "
            "use the same, or start from a run with yours"
        )


def _differing(one: ModelConfig | DataConfig, other: ModelConfig | DataConfig, names: Sequence[str]) -> list[str]:
    return [name for name in names if getattr(one, name) != getattr(other, name)]
