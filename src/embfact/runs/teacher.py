"""The finished dense run that a training learns from (``task.distill``): found, and refused if it does not fit.

It need not have the backbone of the student, but must read the same tokens, and have seen no row that is held out or
reported here. Light to import: no torch.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from embfact.config.run_config import RunConfig
from embfact.config.sections import ModelConfig
from embfact.data.fingerprint import fingerprint as data_fingerprint
from embfact.errors import ModelError
from embfact.models.backbones import fingerprint as model_fingerprint
from embfact.models.backbones import table_shape, tokenizer_origin
from embfact.models.tokenizer_files import words_in
from embfact.runs.earlier_run import BACKBONE, backbone_of, differing, refuse_compressed, refuse_other_rows
from embfact.runs.finished_run import FinishedRun, open_run
from embfact.runs.record import FILE_NAME, RunRecord, read


def teacher_of(config: RunConfig) -> Path | None:
    """The directory of the run that a training learns from; None without ``task.distill``.

    Of a sweep, it is the dense run of the same data, backbone and seed that was itself trained on the labels alone.

    Raises:
        ModelError: If there is no such run in the sweep, or more than one.
        DataError: If the data of `config` is missing, so that it cannot be compared.
    """
    if config.task.distill is None:
        return None
    place = Path(config.task.distill)
    files = [] if (place / FILE_NAME).exists() else sorted(place.glob(f"*/{FILE_NAME}"))
    if not files:
        return place
    seen = data_fingerprint(config.data, config.paths.data_dir, config.paths.cache_dir)
    records = {file.parent: _record(file, file.stat().st_mtime_ns) for file in files}
    fitting = {
        folder: record
        for folder, record in records.items()
        if record is not None
        and record.data.fingerprint == seen
        and not differing(backbone_of(record), config.model, BACKBONE)
    }
    found = [folder for folder, record in fitting.items() if record.seed == config.seed]
    which = f"of seed {config.seed} on {config.data.name} with {config.model.label}"
    if not found:
        others = ", ".join(map(str, sorted({record.seed for record in fitting.values()})))
        raise ModelError(
            f"{place} has no finished dense run {which} ({f'only of seed {others}' if others else 'nor of other seeds'}"
            "); train it first, or name one run for all seeds"
        )
    if len(found) > 1:
        names = ", ".join(folder.name for folder in found)
        raise ModelError(f"{place} has {len(found)} dense runs {which} ({names}); name one of them")
    return found[0]


def check_teacher(config: RunConfig) -> None:
    """Refuse a ``task.distill`` that cannot teach this run.

    Raises:
        ModelError: With the remedy.
        DataError: If the data of `config` is missing, so that it cannot be compared.
    """
    place = teacher_of(config)
    if place is None:
        return
    run = open_run(place)
    refuse_compressed(run.record, "task.distill")
    refuse_other_rows(run, config)
    name = f"the run {run.record.name}"
    if run.positions is not None and config.data.max_length > run.positions:
        raise ModelError(f"{name} reads {run.positions} tokens, fewer than data.max_length={config.data.max_length}")
    if differing(backbone_of(run.record), config.model, BACKBONE):
        _refuse_other_tokens(run, config.model)
        _refuse_other_width(run, config)


def fingerprint_of(teacher: Path, student: ModelConfig) -> str:
    """SHA-256 (hex) of the weights, configuration and tokenizer that a run ended with."""
    return model_fingerprint(student.model_copy(update={"from_run": str(teacher), "static": False}))


def _refuse_other_tokens(run: FinishedRun, model: ModelConfig) -> None:
    origin = tokenizer_origin(model)
    theirs, ours = words_in(run.checkpoint), words_in(origin) if isinstance(origin, Path) else None
    # Where files do not tell, the tokenizers are compared when they are loaded.
    if theirs and ours and theirs != ours:
        raise ModelError(
            f"the run {run.record.name} reads other tokens than {model.label}: their tokenizers have {len(theirs)} and "
            f"{len(ours)} words, {len(theirs.items() & ours.items())} of them the same; distill from a run of a "
            "backbone with the same tokenizer"
        )


def _refuse_other_width(run: FinishedRun, config: RunConfig) -> None:
    backbone = backbone_of(run.record).model_copy(update={"from_run": str(run.directory)})
    theirs, ours = table_shape(backbone), table_shape(config.model)
    if config.imitates_table and theirs and ours and theirs.embedding_size != ours.embedding_size:
        raise ModelError(
            f"the table of the run {run.record.name} has {theirs.embedding_size} columns, and that of "
            f"{config.model.label} {ours.embedding_size}; set task.distill_embedding=0 to learn from its logits alone"
        )


# A sweep asks for every run; the time of a file is a part of the key, so that new records are read.
@lru_cache(maxsize=10_000)
def _record(file: Path, changed: int) -> RunRecord | None:
    """The record of a finished dense run that was trained on labels alone; None for any other."""
    try:
        record = read(file.parent)
    except ModelError:
        return None
    method = record.method
    dense = (record.status, method.name, method.storage) == ("finished", "none", "float32")
    return record if dense and record.teacher is None else None
