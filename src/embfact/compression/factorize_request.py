"""Parsing the command line of ``scripts/factorize.py``, which takes the same overrides as ``train.py``.

Light to import: no torch, no pyarrow.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from embfact.config.compose import hydra_session, read_request
from embfact.config.own_folder import own_folder
from embfact.config.run_config import RunConfig
from embfact.config.sections import TRAINING
from embfact.errors import ConfigError, ErrorDetail, ModelError
from embfact.factorization.auto import Auto
from embfact.factorization.base import TokenizerMethod
from embfact.factorization.registry import method_class
from embfact.models.backbones import origin_of, read_config, table_shape
from embfact.models.size import saved_bytes
from embfact.models.weight_files import weight_files
from embfact.runs.preflight import run_errors

ALL = "factorization=all"
TRIM = "use scripts/trim.py"
PLACES = ("output", "table")
SECTIONS = ("data", "model", "factorization", "task", "trainer", "evidence", "paths")
VALUES = ("rank", "budget", "budget_unit", "energy", "storage", "storage_group", "seed")
SWEPT = ("factorization", "rank", "budget", "budget_unit", "energy", "storage", "storage_group")


@dataclass(frozen=True)
class Job:
    """One row of the table.

    Attributes:
        config: Method, size and storage; all rows share data and backbone.
        problem: Why its size does not fit; None if it does.
    """

    config: RunConfig
    problem: str | None = None


@dataclass(frozen=True)
class FactorizeRequest:
    """A valid command.

    Attributes:
        jobs: The rows, in the order of the command.
        output: Directory for the smaller checkpoint, or None.
        table: File for the table, or None.
        skipped: Which methods ``factorization=all`` leaves out, and why.
    """

    jobs: tuple[Job, ...]
    output: Path | None
    table: Path | None
    skipped: tuple[str, ...] = ()


def read_factorize_request(conf_dir: Path, arguments: Sequence[str], multirun: bool) -> FactorizeRequest:
    """Compose and validate a command.

    Args:
        conf_dir: The folder with ``train.yaml``.
        arguments: The command line, e.g. ``["factorization=svd,random", "budget=0.1", "table=errors.md"]``.
        multirun: Whether ``-m`` was given; ``factorization=all`` implies it.

    Raises:
        ConfigError: With every error found.
    """
    places = {key: value for key, _, value in (word.partition("=") for word in arguments) if key in PLACES}
    arguments = [word for word in arguments if word.partition("=")[0] not in PLACES]
    skipped: tuple[str, ...] = ()
    if ALL in arguments:
        names, skipped = _all_methods(conf_dir, dict(word.partition("=")[::2] for word in arguments))
        arguments, multirun = [f"factorization={','.join(names)}" if word == ALL else word for word in arguments], True
    configs: tuple[RunConfig, ...] = ()
    errors: list[ErrorDetail] = []
    try:
        configs = read_request(conf_dir, arguments, multirun).configs
    except ConfigError as error:
        errors += error.errors
    with hydra_session(conf_dir) as composer:
        known = [o for o in composer.read(arguments)[0] if o.input_line not in {detail.found for detail in errors}]
    for config in configs:
        if isinstance(config.factorization, TokenizerMethod):
            name = config.factorization.name
            errors.append(ErrorDetail(f"{name} changes the tokenizer too", f"factorization={name}", TRIM))
        if isinstance(config.factorization, Auto) and config.factorization.tolerance is not None:
            found = f"factorization.tolerance={config.factorization.tolerance:g}"
            errors.append(ErrorDetail("a tolerance is measured on a trained dense run", found, "set a budget"))
    # Jobs that differ only in options without effect, such as the group size of unquantized storage, are one row.
    distinct = {(repr(one.factorization), str(one.target), one.kept): one for one in configs}.values()
    jobs = [Job(config, _size_problem(config)) for config in distinct]
    errors += [*filter(None, map(_word_errors, known)), *_disk_errors(jobs), *_places_errors(places, jobs)]
    if errors:
        raise ConfigError(errors)
    output, table = (Path(places[name]).expanduser() if name in places else None for name in PLACES)
    return FactorizeRequest(tuple(jobs), output, table, skipped)


def _all_methods(conf_dir: Path, given: Mapping[str, str]) -> tuple[list[str], tuple[str, ...]]:
    """The methods of ``conf/factorization/`` that can be compared here, and a line on each reason to leave some out."""
    with_energy = given.get("energy", "null") != "null"
    other_texts = given.get("evidence.source", TRAINING) != TRAINING
    known: list[str] = []
    sized: list[str] = []
    labelled: list[str] = []
    tokenizing: list[str] = []
    folders = [conf_dir, *filter(None, [own_folder()])]
    for path in sorted(path for folder in folders for path in (folder / "factorization").glob("*.yaml")):
        method = method_class(OmegaConf.select(OmegaConf.load(path), "_target_"))
        if issubclass(method, Auto):
            continue  # one of the others
        if issubclass(method, TokenizerMethod):
            tokenizing.append(path.stem)
        elif with_energy and method.uses_rank and not method.knows_energy:
            sized.append(path.stem)
        elif other_texts and method.needs - {"token_counts"}:
            labelled.append(path.stem)
        else:
            known.append(path.stem)
    reasons = {
        "energy= cannot set their size": sized,
        "they need gradients, and so texts with labels": labelled,
        f"the tokenizer changes ({TRIM})": tokenizing,
    }
    return known, tuple(f"left out, since {why}: {', '.join(names)}" for why, names in reasons.items() if names)


def _word_errors(override: Override) -> ErrorDetail | None:
    """Refuse options that would have no effect, and lists of options that all rows share."""
    key, word = str(override.key_or_group), str(override.input_line)
    section = key.partition(".")[0].partition("/")[0]
    if section not in (*SECTIONS, *VALUES) or key == "model.from_run":
        remedy = "give a dense checkpoint directory as model.name_or_path" if key == "model.from_run" else ""
        allowed = f"use {', '.join(f'{name}=' for name in (*SECTIONS, *VALUES))}, output= or table="
        return ErrorDetail(f"{key} is a training option", word, remedy or allowed)
    if override.is_sweep_override() and section not in SWEPT:
        return ErrorDetail(f"all rows of the table share {key}", word, "use one command for each value")
    return None


def _size_problem(config: RunConfig) -> str | None:
    """Why a method cannot have the requested size, judged by the shape of the table."""
    try:
        shape = table_shape(config.model)
        if shape and config.target:
            config.target.check(config.factorization, shape.vocab_size, shape.embedding_size, config.kept)
    except ModelError:
        return None
    except ValueError as error:
        return str(error)
    return None


def _disk_errors(jobs: Sequence[Job]) -> list[ErrorDetail]:
    """Errors of files and folders; a size that does not fit is an error only if no row is left without it."""
    if not jobs:
        return []
    found = {
        detail: job for job in jobs for detail in run_errors(job.config) if not detail.what.startswith("output_dir")
    }
    sizes = {job.problem for job in jobs if job.problem}
    hopeless = all(job.problem for job in jobs if job.config.target)
    errors = [detail for detail in found if hopeless or detail.what not in sizes]
    return [*errors, *checkpoint_errors(jobs[0].config)]


def checkpoint_errors(config: RunConfig) -> list[ErrorDetail]:
    """Errors of the files of the backbone, found before they are loaded."""
    name, origin = config.model.label, origin_of(config.model)
    if origin is None:
        return [ErrorDetail(f"model {name} has random weights", "model.architecture", "use a pretrained model")]
    try:
        values: dict[str, Any] = read_config(config.model) or {}
        for path in weight_files(origin) if isinstance(origin, Path) else []:
            saved_bytes(path)
    except ModelError as error:
        return [ErrorDetail(str(error))]
    if values.get("quantization_config"):
        return [ErrorDetail(f"model {name} is quantized", "quantization_config", "start from floating-point weights")]
    return []


def _places_errors(places: dict[str, str], jobs: Sequence[Job]) -> list[ErrorDetail]:
    errors = []
    if "table" in places:
        path = Path(places["table"]).expanduser()
        if not places["table"] or not os.access(path.parent, os.W_OK) or path.is_dir():
            remedy = "give a file name in a writable folder"
            errors.append(ErrorDetail("table cannot be written", places["table"], remedy))
        elif "output" in places and path.resolve().is_relative_to(Path(places["output"]).expanduser().resolve()):
            errors.append(ErrorDetail("table is inside the output", places["table"], "give another file name"))
    if "output" in places:
        if len(jobs) > 1:
            errors.append(
                ErrorDetail("output needs one method and one size", places["output"], "leave out -m and the lists")
            )
        errors += _output_errors(places["output"], jobs)
    return errors


def _output_errors(text: str, jobs: Sequence[Job]) -> list[ErrorDetail]:
    path = Path(text).expanduser()
    if not text or (path.exists() and not path.is_dir()):
        return [ErrorDetail("output must be a directory", text, "give the name of a new one")]
    if path.is_dir() and any(path.iterdir()) and not _is_ours(path):
        what = "output is a directory that is not an embfact checkpoint"
        return [ErrorDetail(what, text, "give the name of a new one")]
    origins = [origin_of(job.config.model) for job in jobs[:1]]
    if any(isinstance(origin, Path) and origin.resolve() == path.resolve() for origin in origins):
        return [ErrorDetail("output is the model itself", text, "give the name of a new directory")]
    return []


def _is_ours(directory: Path) -> bool:
    try:
        values = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and isinstance(values.get("embfact"), dict)
