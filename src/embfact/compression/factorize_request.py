"""What ``scripts/factorize.py`` is asked for: the words of ``train.py``, composed and validated before anything heavy.

Light to import: no torch, no pyarrow; Hydra only composes.
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
from embfact.config.run_config import RunConfig
from embfact.config.sections import TRAINING
from embfact.errors import ConfigError, Fault, ModelError
from embfact.factorization.registry import method_class
from embfact.models.backbones import origin_of, read_config, table_shape
from embfact.models.size import saved_bytes
from embfact.models.weight_files import weight_files
from embfact.runs.preflight import faults_of_run

ALL = "factorization=all"
PLACES = ("output", "table")
SECTIONS = ("data", "model", "factorization", "task", "trainer", "evidence", "paths")
VALUES = ("rank", "budget", "budget_unit", "energy", "storage", "storage_group", "seed")
SWEPT = ("factorization", "rank", "budget", "budget_unit", "energy", "storage", "storage_group")


@dataclass(frozen=True)
class Job:
    """One row of the table.

    Attributes:
        config: Method, size and storage; data and backbone are those of all rows.
        problem: Why its size cannot fit, in words; None if it can.
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
        skipped: In words, the methods that ``factorization=all`` leaves out.
    """

    jobs: tuple[Job, ...]
    output: Path | None
    table: Path | None
    skipped: tuple[str, ...] = ()


def read_factorize_request(conf_dir: Path, words: Sequence[str], multirun: bool) -> FactorizeRequest:
    """Compose and validate a command.

    Args:
        conf_dir: The folder with ``train.yaml``.
        words: What was typed, e.g. ``["factorization=svd,random", "budget=0.1", "table=errors.md"]``.
        multirun: Whether ``-m`` was given; ``factorization=all`` implies it.

    Raises:
        ConfigError: With every fault found.
    """
    places = {key: value for key, _, value in (word.partition("=") for word in words) if key in PLACES}
    words = [word for word in words if word.partition("=")[0] not in PLACES]
    skipped: tuple[str, ...] = ()
    if ALL in words:
        names, skipped = _all_methods(conf_dir, dict(word.partition("=")[::2] for word in words))
        words, multirun = [f"factorization={','.join(names)}" if word == ALL else word for word in words], True
    configs: tuple[RunConfig, ...] = ()
    faults: list[Fault] = []
    try:
        configs = read_request(conf_dir, words, multirun).configs
    except ConfigError as error:
        faults += error.faults
    with hydra_session(conf_dir) as composer:
        known = [o for o in composer.read(words)[0] if o.input_line not in {fault.found for fault in faults}]
    # Two that differ only in what decides nothing, as the groups of what is not quantized, are one row.
    distinct = {(repr(one.factorization), str(one.target), one.kept): one for one in configs}.values()
    jobs = [Job(config, _size_problem(config)) for config in distinct]
    faults += [*filter(None, map(_fault_of_word, known)), *_faults_of_disk(jobs), *_faults_of_places(places, jobs)]
    if faults:
        raise ConfigError(faults)
    output, table = (Path(places[name]).expanduser() if name in places else None for name in PLACES)
    return FactorizeRequest(tuple(jobs), output, table, skipped)


def _all_methods(conf_dir: Path, given: Mapping[str, str]) -> tuple[list[str], tuple[str, ...]]:
    """The methods of ``conf/factorization/`` that can be asked for together, and in words which are left out."""
    with_energy = given.get("energy", "null") != "null"
    with_file = given.get("evidence.source", TRAINING) != TRAINING
    known: list[str] = []
    sized: list[str] = []
    labelled: list[str] = []
    for path in sorted((conf_dir / "factorization").glob("*.yaml")):
        method = method_class(OmegaConf.select(OmegaConf.load(path), "_target_"))
        if with_energy and method.uses_rank and not method.knows_energy:
            sized.append(path.stem)
        elif with_file and method.needs - {"token_counts"}:
            labelled.append(path.stem)
        else:
            known.append(path.stem)
    reasons = {"an energy cannot size them": sized, "they take gradients, for which texts need labels": labelled}
    return known, tuple(f"left out, since {why}: {', '.join(names)}" for why, names in reasons.items() if names)


def _fault_of_word(override: Override) -> Fault | None:
    """Refuse what would be silently without effect, and rows that could not stand in one table."""
    key, word = str(override.key_or_group), str(override.input_line)
    section = key.partition(".")[0].partition("/")[0]
    if section not in (*SECTIONS, *VALUES) or key == "model.from_run":
        remedy = "give a dense checkpoint directory as model.name_or_path" if key == "model.from_run" else ""
        allowed = f"use {', '.join(f'{name}=' for name in (*SECTIONS, *VALUES))}, output= or table="
        return Fault(f"{key} belongs to the training", word, remedy or allowed)
    if override.is_sweep_override() and section not in SWEPT:
        return Fault(f"{key} is one for the whole table", word, "give one value, and one command for each")
    return None


def _size_problem(config: RunConfig) -> str | None:
    """Why a method cannot have the size that is asked for, as far as the shape of the table tells."""
    try:
        shape = table_shape(config.model)
        if shape and config.target:
            config.target.check(config.factorization, shape.vocab_size, shape.embedding_size, config.kept)
    except ModelError:
        return None
    except ValueError as error:
        return str(error)
    return None


def _faults_of_disk(jobs: Sequence[Job]) -> list[Fault]:
    """Faults of files and folders; a size that does not fit is one only where no other row is left."""
    if not jobs:
        return []
    found = {
        fault: job for job in jobs for fault in faults_of_run(job.config) if not fault.what.startswith("output_dir")
    }
    sizes = {job.problem for job in jobs if job.problem}
    hopeless = all(job.problem for job in jobs if job.config.target)
    faults = [fault for fault in found if hopeless or fault.what not in sizes]
    return [*faults, *_faults_of_checkpoint(jobs[0].config)]


def _faults_of_checkpoint(config: RunConfig) -> list[Fault]:
    """What a look at the files of the backbone shows before they are loaded."""
    name, origin = config.model.label, origin_of(config.model)
    if origin is None:
        return [Fault(f"model {name} has random weights", "model.architecture", "give a pretrained model")]
    try:
        values: dict[str, Any] = read_config(config.model) or {}
        for path in weight_files(origin) if isinstance(origin, Path) else []:
            saved_bytes(path)
    except ModelError as error:
        return [Fault(str(error))]
    if values.get("quantization_config"):
        return [Fault(f"model {name} is quantized", "quantization_config", "start from the weights in floating point")]
    return []


def _faults_of_places(places: dict[str, str], jobs: Sequence[Job]) -> list[Fault]:
    faults = []
    if "table" in places:
        path = Path(places["table"]).expanduser()
        if not places["table"] or not os.access(path.parent, os.W_OK) or path.is_dir():
            remedy = "give a file name in a folder that you may write to"
            faults.append(Fault("table cannot be written", places["table"], remedy))
        elif _lies_in(path, places.get("output")):
            faults.append(Fault("table lies in the output", places["table"], "give another file name"))
    if "output" in places:
        if len(jobs) > 1:
            faults.append(Fault("output takes one method and one size", places["output"], "leave out -m and the lists"))
        faults += _faults_of_output(places["output"], jobs)
    return faults


def _lies_in(path: Path, folder: str | None) -> bool:
    return folder is not None and path.resolve().is_relative_to(Path(folder).expanduser().resolve())


def _faults_of_output(text: str, jobs: Sequence[Job]) -> list[Fault]:
    path = Path(text).expanduser()
    if not text or (path.exists() and not path.is_dir()):
        return [Fault("output must be a directory", text, "give the name of a new one")]
    if path.is_dir() and any(path.iterdir()) and not _is_ours(path):
        what = "output is a directory that holds something else than a checkpoint of embfact"
        return [Fault(what, text, "give the name of a new one")]
    origins = [origin_of(job.config.model) for job in jobs[:1]]
    if any(isinstance(origin, Path) and origin.resolve() == path.resolve() for origin in origins):
        return [Fault("output is the model itself", text, "give the name of a new directory")]
    return []


def _is_ours(directory: Path) -> bool:
    try:
        values = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and isinstance(values.get("embfact"), dict)
