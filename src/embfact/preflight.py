"""What can be checked of a valid configuration before anything heavy is imported: files, folders, sizes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from embfact.composition import Job
from embfact.config import ModelConfig, RunConfig
from embfact.errors import ConfigError, Fault, ModelError
from embfact.models.backbones import TableShape, resolve, table_shape, weight_files


def check(jobs: Iterable[Job]) -> None:
    """Refuse jobs that are sure to fail.

    Raises:
        ConfigError: With the faults of all jobs, each once.
    """
    faults = [fault for job in jobs for fault in faults_of_run(job.config)]
    if faults:
        raise ConfigError(faults)


def faults_of_run(config: RunConfig) -> list[Fault]:
    """Every fault of one configuration that the disk can show."""
    return [*_data_faults(config), *_model_faults(config), *_output_faults(config)]


def _data_faults(config: RunConfig) -> list[Fault]:
    faults = []
    for key in ("train_file", "validation_file"):
        file = getattr(config.data, key)
        if config.data.source == "files" and file and not Path(file).expanduser().is_file():
            faults.append(Fault(f"data.{key} is not there", file, "give the path of an existing file"))
    data_dir = config.paths.data_dir
    if data_dir and not Path(data_dir).expanduser().is_dir():
        remedy = "set paths.data_dir (or EMBFACT_DATA_DIR) to an existing folder"
        faults.append(Fault("paths.data_dir is not a folder", data_dir, remedy))
    return faults


def _model_faults(config: RunConfig) -> list[Fault]:
    try:
        shape = _shape(config.model.model_dump_json())
        origin = resolve(config.model.name_or_path) if config.model.name_or_path else None
        if isinstance(origin, Path):
            weight_files(origin)
    except ModelError as error:
        return [Fault(str(error))]
    method = config.factorization
    if shape is None or method.name == "none":
        return []
    if shape.already_factorized and not method.refactorize_existing:
        what = f"{config.model.label} keeps its table factorized already ({shape.vocab_size} x {shape.embedding_size})"
        remedy = "use factorization=none, or set factorization.refactorize_existing=true"
        return [Fault(what, f"factorization={method.name}", remedy)]
    try:
        method.check_size(shape.vocab_size, shape.embedding_size, config.rank)
    except ValueError as error:
        return [Fault(str(error))]
    return []


# A sweep has one or two backbones and hundreds of runs.
@lru_cache(maxsize=16)
def _shape(document: str) -> TableShape | None:
    return table_shape(ModelConfig.model_validate_json(document))


def _output_faults(config: RunConfig) -> list[Fault]:
    folder = Path(config.output_dir).expanduser().absolute()
    while not folder.exists():
        folder = folder.parent
    if folder.is_dir() and os.access(folder, os.W_OK):
        return []
    return [Fault("output_dir cannot be written to", config.output_dir, "give a folder that you may write to")]
