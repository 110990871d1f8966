"""Checks of a valid configuration before anything heavy is imported: files, folders, sizes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from embfact.config.data_config import DataConfig
from embfact.config.rank_schedule import schedule_error
from embfact.config.run_config import RunConfig
from embfact.config.sections import ModelConfig
from embfact.data.sentence_archive import provide
from embfact.errors import ConfigError, DataError, ErrorDetail, ModelError
from embfact.models.backbones import (
    TableShape,
    largest_token_id,
    origin_of,
    read_config,
    refuse_compressed,
    table_shape,
    usable_positions,
)
from embfact.models.size import saved_bytes
from embfact.models.tokenizer_files import ids_error
from embfact.models.weight_files import weight_files
from embfact.runs.earlier_run import check_start
from embfact.runs.teacher import check_teacher
from embfact.system.cores import usable_cores
from embfact.system.disk import may_write
from embfact.system.remote import url_error

# The options that name files, by source.
OWN_FILES = {"files": ("train_file", "validation_file"), "rated_sentences": ("archive",)}


def check(configs: Iterable[RunConfig]) -> None:
    """Refuse configurations that are certain to fail.

    Raises:
        ConfigError: With the errors of all of them, without duplicates.
    """
    errors = [detail for config in configs for detail in run_errors(config)]
    if sys.flags.optimize > 1:
        what = "Python is running without docstrings, which transformers needs"
        errors.append(
            ErrorDetail(what, f"PYTHONOPTIMIZE={sys.flags.optimize}", "unset PYTHONOPTIMIZE, or leave out -OO")
        )
    if errors:
        raise ConfigError(errors)


def check_downloads(configs: Iterable[RunConfig]) -> None:
    """Fetch the rated sentences into the cache if a run needs them.

    Separate from `check`, so that printing a configuration downloads nothing. A package index may be slow: each cache
    is filled once.

    Raises:
        ConfigError: If they cannot be fetched, with the remedy.
    """
    wanted = (config for config in configs if config.data.source == "rated_sentences" and config.data.archive is None)
    errors = []
    for cache_dir in dict.fromkeys(config.paths.cache_dir for config in wanted):
        try:
            provide(Path(cache_dir))
        except DataError as error:
            errors.append(ErrorDetail(str(error)))
    if errors:
        raise ConfigError(errors)


def run_errors(config: RunConfig) -> list[ErrorDetail]:
    """Every error of one configuration that can be found on disk."""
    schedule = schedule_error(config.refactorize, config.trainer, aware=config.quantization == "aware")
    errors = [*_data_errors(config), *_model_errors(config), *teacher_errors(config), *([schedule] if schedule else [])]
    url = url_error("output_url", config.output_url) if config.output_url else None
    return [*errors, *_device_errors(config), *_output_errors(config), *([url] if url else [])]


def _data_errors(config: RunConfig) -> list[ErrorDetail]:
    errors = []
    for key in OWN_FILES.get(config.data.source, ()):
        file = getattr(config.data, key)
        if file and not _is_readable(file, folder=False):
            errors.append(ErrorDetail(f"data.{key} is not a readable file", file, "give the path of an existing file"))
    if config.data.source == "files" and not errors:
        errors += _files_errors(config.data)
    data_dir = config.paths.data_dir
    if data_dir and not _is_readable(data_dir, folder=True):
        remedy = "set paths.data_dir (or EMBFACT_DATA_DIR) to an existing folder"
        errors.append(ErrorDetail("paths.data_dir is not a folder", data_dir, remedy))
    corpus = config.evidence.file
    if corpus is not None and not _is_readable(corpus, folder=False):
        remedy = "give the path of an existing file, or evidence.source=training"
        errors.append(ErrorDetail("evidence.source is not a readable file", corpus, remedy))
    elif corpus is not None and (whose := _data_of(corpus, config)):
        what = f"evidence.source is a file of {whose} and contains held-out or reported rows"
        errors.append(ErrorDetail(what, corpus, "use evidence.source=training, which reads the training rows only"))
    return errors


def _files_errors(data: DataConfig) -> list[ErrorDetail]:
    """Files without a column, or whose labels do not match: every run would score classes it was not trained on."""
    stamps = [Path(str(file)).expanduser().stat() for file in (data.train_file, data.validation_file)]
    error = _file_error(data.model_dump_json(), tuple((stamp.st_size, stamp.st_mtime_ns) for stamp in stamps))
    return [ErrorDetail(error)] if error else []


# The files are read once for all runs of a sweep, and again if they have changed.
@lru_cache(maxsize=16)
def _file_error(document: str, _version: tuple[tuple[int, int], ...]) -> str | None:
    from embfact.data.labels import LabelError  # imports Arrow, which is needed only if there are files to read
    from embfact.data.source import MissingColumnError
    from embfact.data.text import check_files

    try:
        check_files(DataConfig.model_validate_json(document))
    except (LabelError, MissingColumnError) as error:
        return str(error)
    except DataError:  # about a row: only the run itself fails
        return None
    return None


def _data_of(corpus: str, config: RunConfig) -> str | None:
    """Which data set a file belongs to, judged by its path, if that has texts of the run's data; else None."""
    data, data_dir, place = config.data, config.paths.data_dir, _place(corpus)
    own = {_place(file) for file in (data.train_file, data.validation_file) if file}
    mirror = _place(str(Path(data_dir) / data.mirror)) if data_dir and data.mirror else None
    if (data.source == "files" and place in own) or place.parent == mirror:
        return "the data itself"
    name = place.parent.name  # as in a mirror: glue/sst2/train.parquet
    return f"{name}, which contains texts of {data.name}" if name in data.shares_text_with else None


def _model_errors(config: RunConfig) -> list[ErrorDetail]:
    name = f"model {config.model.label}"
    try:
        check_start(config)
        shape, values, largest = _backbone(config.model.model_dump_json())
        refuse_compressed(values, name)
        origin = origin_of(config.model)
        if isinstance(origin, Path):
            files = weight_files(origin)
            # A run's own checkpoint may be truncated, so its headers are checked; others are read when they are loaded.
            for file in files if config.model.from_run else []:
                saved_bytes(file)
    except ModelError as error:
        start = config.model.from_run
        return [ErrorDetail(str(error), f"model.from_run={start}" if start else "")]
    except DataError:  # about missing data: only the run itself fails
        return []
    errors = [length_error(config, values), _size_errors(config, shape)]
    ids = ids_error(largest, shape.vocab_size, name) if shape and largest is not None else None
    return [
        *(detail for detail in errors if detail),
        *([ErrorDetail(ids)] if ids else []),
        *_padding_errors(name, values),
    ]


def teacher_errors(config: RunConfig) -> list[ErrorDetail]:
    """Why the run that ``task.distill`` names cannot teach this one."""
    try:
        check_teacher(config)
    except ModelError as error:
        return [ErrorDetail(str(error), f"task.distill={config.task.distill}")]
    except DataError:  # about missing data: only the run itself fails
        pass
    return []


def _padding_errors(name: str, backbone: Mapping[str, Any]) -> list[ErrorDetail]:
    """Special ids of a model for which its table has no row."""
    rows = backbone.get("vocab_size")
    ids = {key: backbone.get(key) for key in ("pad_token_id", "decoder_start_token_id")}
    return [
        ErrorDetail(
            f"{key} of {name} is beyond the {rows} rows of its table", str(number), f"set it to one of 0 to {rows - 1}"
        )
        for key, number in ids.items()
        if isinstance(rows, int) and isinstance(number, int) and number >= rows
    ]


def length_error(config: RunConfig, backbone: Mapping[str, Any]) -> ErrorDetail | None:
    """Refuse texts with more tokens than the positions in the backbone's config.json: training would fail midway."""
    positions = usable_positions(backbone)
    if positions is None or config.data.max_length <= positions:
        return None
    what = f"data.max_length is more than the {positions} positions of {config.model.label}"
    return ErrorDetail(what, str(config.data.max_length), f"use at most {positions}")


def _size_errors(config: RunConfig, shape: TableShape | None) -> ErrorDetail | None:
    method = config.factorization
    if shape is None or method.name == "none":
        return None
    if shape.already_factorized and not method.refactorize_existing:
        what = f"the table of {config.model.label} is already factorized ({shape.vocab_size} x {shape.embedding_size})"
        remedy = "use factorization=none, or set factorization.refactorize_existing=true"
        return ErrorDetail(what, f"factorization={method.name}", remedy)
    try:
        if config.target:
            config.target.check(method, shape.vocab_size, shape.embedding_size, config.kept)
    except ValueError as error:
        return ErrorDetail(str(error))
    return None


# A sweep may have hundreds of runs of one or two backbones.
@lru_cache(maxsize=16)
def _backbone(document: str) -> tuple[TableShape | None, Mapping[str, Any], int | None]:
    """The shape of the table, the values of config.json and the largest token id, as far as known."""
    model = ModelConfig.model_validate_json(document)
    return table_shape(model), read_config(model) or {}, largest_token_id(model)


def _device_errors(config: RunConfig) -> list[ErrorDetail]:
    """What cannot be done on several devices."""
    options, errors = config.trainer, []
    if options.devices == 1:
        return []
    found = f"trainer.devices={options.devices}"
    if config.refactorize.every != "never":
        what = f"{config.refactorize.choice} replaces the table during training, which works on one device only"
        errors.append(ErrorDetail(what, found, "use trainer.devices=1 or refactorize=never"))
    if options.accelerator in ("mps", "tpu"):
        what = f"trainer.accelerator={options.accelerator} trains on one device only"
        errors.append(ErrorDetail(what, found, "use trainer.devices=1, or trainer.accelerator=cpu or gpu"))
    cores = usable_cores()
    if options.accelerator in ("auto", "cpu") and options.devices > cores:
        what = f"trainer.devices is more than the {cores} CPU cores of this machine"
        remedy = f"use at most {cores}, or trainer.accelerator=gpu where there are as many GPUs"
        errors.append(ErrorDetail(what, str(options.devices), remedy))
    return errors


def _output_errors(config: RunConfig) -> list[ErrorDetail]:
    if may_write(Path(config.output_dir)):
        return []
    return [ErrorDetail("output_dir is not writable", config.output_dir, "give a writable folder")]


def _place(path: str) -> Path:
    return Path(path).expanduser().resolve()


def _is_readable(path: str, *, folder: bool) -> bool:
    """Whether a path is a readable file (or folder); a path that the system rejects is not."""
    try:
        place = Path(path).expanduser()
        return (place.is_dir() if folder else place.is_file()) and os.access(place, os.R_OK)
    except (OSError, RuntimeError):
        return False
