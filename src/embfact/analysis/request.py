"""A request to ``scripts/analyze.py``: a model and methods as overrides of ``train.py``, or finished runs.

Light to import: no torch or pyarrow.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embfact.compression.factorize_request import Job, read_factorize_request
from embfact.config.run_config import RunConfig
from embfact.errors import ConfigError, ErrorDetail, UserError
from embfact.factorization.base import Factorization
from embfact.runs.finished_run import FinishedRun, open_run
from embfact.runs.preflight import run_errors

JSON_FILE = "analysis.json"


@dataclass(frozen=True)
class TrainedRun:
    """A finished run and its training configuration."""

    run: FinishedRun
    config: RunConfig


@dataclass(frozen=True)
class AnalysisRequest:
    """A valid command: either jobs or runs, all with the same backbone and data set.

    Attributes:
        jobs: Factorizations of a pretrained model.
        runs: Finished runs.
        output: Output folder.
        words: The user's words; None for the default words.
        skipped: The methods that ``factorization=all`` leaves out, and why.
    """

    jobs: tuple[Job, ...]
    runs: tuple[TrainedRun, ...]
    output: Path
    words: tuple[str, ...] | None = None
    skipped: tuple[str, ...] = ()

    @property
    def config(self) -> RunConfig:
        """The shared backbone and data."""
        return self.jobs[0].config if self.jobs else self.runs[0].config


def read_analysis_request(conf_dir: Path, subjects: Sequence[str], output: Path, words: str | None) -> AnalysisRequest:
    """Validate a command.

    Args:
        conf_dir: The folder with ``train.yaml``.
        subjects: Run directories, or overrides such as ``model=minilm factorization=svd,random rank=32,64``.
        output: Output folder.
        words: Comma-separated words, or None.

    Raises:
        ConfigError: With every error found.
    """
    errors = _output_errors(output)
    named = None if words is None else tuple(dict.fromkeys(filter(None, map(str.strip, words.split(",")))))
    if named == ():
        errors.append(
            ErrorDetail("--words names no word", repr(words), "give words separated by commas, or leave it out")
        )
    directories = [Path(subject) for subject in subjects if "=" not in subject]
    jobs: tuple[Job, ...] = ()
    runs: tuple[TrainedRun, ...] = ()
    skipped: tuple[str, ...] = ()
    try:
        if not directories:
            jobs, skipped = _read_jobs(conf_dir, subjects)
        elif extra := " ".join(subject for subject in subjects if "=" in subject):
            remedy = "leave this out, or give overrides without a run directory"
            errors.append(ErrorDetail("a finished run has its own model, method and data", extra, remedy))
        else:
            runs = _read_runs(directories)
    except ConfigError as error:
        errors += error.errors
    if errors:
        raise ConfigError(errors)
    return AnalysisRequest(jobs, runs, output, named, skipped)


def _read_jobs(conf_dir: Path, words: Sequence[str]) -> tuple[tuple[Job, ...], tuple[str, ...]]:
    if own := [word for word in words if word.partition("=")[0] in ("output", "table")]:
        raise ConfigError([ErrorDetail("an option of scripts/factorize.py", " ".join(own), "give --output DIR here")])
    request = read_factorize_request(conf_dir, words, multirun=True)
    return request.jobs, request.skipped


def _read_runs(directories: Sequence[Path]) -> tuple[TrainedRun, ...]:
    runs: list[TrainedRun] = []
    errors: list[ErrorDetail] = []
    for directory in dict.fromkeys(directories):
        try:
            run = open_run(directory)
            runs.append(TrainedRun(run, _config_of(run)))
        except UserError as error:
            errors.append(ErrorDetail(str(error)))
    errors += [detail for run in runs for detail in run_errors(run.config) if not detail.what.startswith("output_dir")]
    errors += _differences(runs)
    if errors:
        raise ConfigError(errors)
    return tuple(runs)


def _differences(runs: Sequence[TrainedRun]) -> list[ErrorDetail]:
    """Runs that cannot share a page, which has one dense table and one text to count tokens on."""
    records = [one.run.record for one in runs]
    rows = {f"{one.run.record.data.fingerprint} {one.config.data!r} {one.config.evidence.source}" for one in runs}
    parts: dict[str, set[Any]] = {"backbone": {record.model.fingerprint for record in records}, "data": rows}
    names = ", ".join(record.name for record in records)
    remedy = "give runs of one backbone that were trained on the same rows; analyze the others separately"
    return [
        ErrorDetail(f"the runs differ in their {part}", names, remedy) for part, own in parts.items() if len(own) > 1
    ]


def _config_of(run: FinishedRun) -> RunConfig:
    """The configuration of a run whose table can be compared with a pretrained one."""
    name = run.record.name
    try:
        config = RunConfig.parse(run.record.config)
    except ConfigError as error:
        raise UserError(
            f"the run {name} was written by another version of embfact ({error.errors[0]}); train it again"
        ) from None
    if config.model.architecture is not None and config.model.from_run is None:
        raise UserError(
            f"the run {name} started from random weights, so there is no pretrained table to compare with; "
            "give a run of a pretrained backbone"
        )
    if not isinstance(config.factorization, Factorization):
        raise UserError(
            f"the run {name}: {config.factorization.name} replaces the table by another embedding block, which cannot "
            "be compared with it; give a run of another method"
        )
    data_dir = os.environ.get("EMBFACT_DATA_DIR") or config.paths.data_dir
    return config.model_copy(update={"paths": config.paths.model_copy(update={"data_dir": data_dir})})


def _output_errors(output: Path) -> list[ErrorDetail]:
    """Refuse an output that cannot be written, or that is not an analysis, before doing the work."""
    path, remedy = output.absolute(), "give the name of a new folder"
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        return [ErrorDetail("--output is not in a writable folder", str(output), remedy)]
    if path.exists() and not path.is_dir():
        return [ErrorDetail("--output is a file", str(output), remedy)]
    if path.is_dir() and any(path.iterdir()) and not (path / JSON_FILE).is_file():
        return [ErrorDetail(f"--output is a folder that is not an analysis (no {JSON_FILE})", str(output), remedy)]
    return []
