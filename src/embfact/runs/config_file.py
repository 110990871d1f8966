"""``config.yaml``: the configuration of a run, written when it is planned; imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from embfact.config.run_config import RunConfig
from embfact.errors import ConfigError, UserError
from embfact.system.atomic import write_text

FILE_NAME = "config.yaml"
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def write_config(config: RunConfig, directory: Path) -> None:
    """Write the configuration atomically; the directory must exist."""
    text = yaml.dump(config.plain(), Dumper=_DUMPER, sort_keys=False, allow_unicode=True)
    write_text(directory / FILE_NAME, text, durable=False)


def read_config(directory: Path) -> RunConfig:
    """Read the configuration of a run directory.

    Raises:
        UserError: If it is missing, damaged, or not valid in this version of embfact.
    """
    path = directory / FILE_NAME
    try:
        values: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)
    except FileNotFoundError:
        raise UserError(f"{directory} has no {FILE_NAME}; rerun the command that created the run") from None
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read ({reason}); rerun the command that created the run") from None
    if not isinstance(values, dict) or not isinstance(values.get("factorization") or {}, dict):
        raise UserError(f"{path} is not a configuration; rerun the command that created the run")
    try:
        return RunConfig.parse(values)
    except ConfigError as error:
        reason = "; ".join(map(str, error.errors))
        raise UserError(f"{path} is not valid in this version of embfact: {reason}") from None
