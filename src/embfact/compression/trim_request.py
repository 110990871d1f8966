"""Parsing the command line of ``scripts/trim.py``. Light to import: no torch, no pyarrow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embfact.compression.factorize_request import checkpoint_errors
from embfact.config.compose import hydra_session, read_request
from embfact.config.run_config import RunConfig
from embfact.errors import ConfigError, ErrorDetail
from embfact.models.backbones import origin_of
from embfact.runs.preflight import run_errors
from embfact.trimming.selection import Criteria, scripts_of

RECORD = "trimming.json"
OWN = ("output", "size", "min_count", "script")
SECTIONS = ("data", "model", "evidence", "trainer", "paths")
VALUES = ("seed",)


@dataclass(frozen=True)
class TrimRequest:
    """A valid command.

    Attributes:
        config: Model, and texts to count.
        criteria: Which tokens to keep.
        output: Folder to write.
    """

    config: RunConfig
    criteria: Criteria
    output: Path


def read_trim_request(conf_dir: Path, arguments: Sequence[str]) -> TrimRequest:
    """Compose and validate a command.

    Args:
        conf_dir: The folder with ``train.yaml``.
        arguments: The command line, e.g. ``["model=minilm", "data=imdb", "min_count=1", "output=small"]``.

    Raises:
        ConfigError: With every error found.
    """
    own = {key: value for key, _, value in (word.partition("=") for word in arguments) if key in OWN}
    others = [word for word in arguments if word.partition("=")[0] not in OWN]
    errors = _word_errors(conf_dir, others)
    config: RunConfig | None = None
    try:
        (config,) = read_request(conf_dir, [*others, "factorization=none"], False).configs
    except ConfigError as error:
        errors += error.errors
    numbers = {name: _whole(name, own[name], errors) for name in ("size", "min_count") if name in own}
    scripts = scripts_of(own.get("script"))
    criteria = Criteria(numbers.get("size"), numbers.get("min_count"), scripts)
    errors += criteria.errors() if None not in numbers.values() else []
    if config is not None:
        errors += [detail for detail in run_errors(config) if not detail.what.startswith("output_dir")]
        errors += checkpoint_errors(config)
    output = Path(own.get("output", "")).expanduser()
    errors += _output_errors(own.get("output", ""), output, config)
    if errors or config is None:
        raise ConfigError(errors)
    return TrimRequest(config, criteria, output)


def _word_errors(conf_dir: Path, words: Sequence[str]) -> list[ErrorDetail]:
    """Errors for options that would have no effect."""
    with hydra_session(conf_dir) as composer:
        overrides = composer.read(words)[0]
    allowed = ", ".join(f"{name}=" for name in (*OWN, *SECTIONS, *VALUES))
    return [
        ErrorDetail(f"{override.key_or_group} has no effect on trimming", str(override.input_line), f"use {allowed}")
        for override in overrides
        if str(override.key_or_group).partition(".")[0].partition("/")[0] not in (*SECTIONS, *VALUES)
    ]


def _whole(name: str, text: str, errors: list[ErrorDetail]) -> int | None:
    if text.isascii() and text.isdecimal() and int(text) > 0:
        return int(text)
    errors.append(ErrorDetail(f"{name} must be a whole number of 1 or more", f"{name}={text}"))
    return None


def _output_errors(text: str, path: Path, config: RunConfig | None) -> list[ErrorDetail]:
    if not text:
        return [ErrorDetail("there is no folder for the trimmed model", "", "give output=DIR")]
    if path.exists() and not path.is_dir():
        return [ErrorDetail("output is a file", text, "give the name of a new folder")]
    if foreign := _foreign(path):
        what = f"output holds {foreign}, which embfact trim did not write and would be lost"
        return [ErrorDetail(what, text, "give the name of a new folder")]
    origin = None if config is None else origin_of(config.model)
    if isinstance(origin, Path) and origin.resolve() == path.resolve():
        return [ErrorDetail("output is the model itself", text, "give the name of a new folder")]
    return []


def _foreign(folder: Path) -> str | None:
    """A file of a folder that an earlier trimming did not write; None if there is none."""
    entries = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    try:
        written = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"] if entries else []
    except (OSError, ValueError, KeyError, TypeError):
        written = []
    return next((name for name in entries if name not in written), None)
