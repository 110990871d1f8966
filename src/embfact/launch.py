"""The command line: refuse what is wrong, leave questions to Hydra, and have the rest done.

Imports nothing heavy: torch and Lightning come with the first run that has to be done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig

from embfact.composition import CONFIG_NAME, read_request
from embfact.conduct import conduct
from embfact.errors import ConfigError, Fault
from embfact.launchers.choice import check_launch
from embfact.log import say_error
from embfact.preflight import check, check_downloads
from embfact.search import check_search

# Questions that Hydra answers itself, without running anything; --cfg is one more, of a valid configuration.
_QUESTIONS = ("help", "hydra_help", "version", "info", "shell_completion")
# Flags of Hydra's that would choose other configurations than those that are validated here.
_REFUSED = ("config_path", "config_name", "config_dir", "experimental_rerun")


def main(conf_dir: Path, words: Sequence[str]) -> int:
    """Answer one command line.

    Args:
        conf_dir: The folder with ``train.yaml``.
        words: What was typed after ``train.py``.

    Returns:
        Exit code: 0, 1 if a run failed, 2 if the command was refused, 130 or 143 if it was interrupted.
    """
    try:
        arguments = _parse(words)
        if any(getattr(arguments, name, None) for name in _QUESTIONS):
            return _ask_hydra(conf_dir, words, arguments.overrides)
        request = read_request(conf_dir, arguments.overrides, bool(arguments.multirun))
        check(request.configs)
        check_launch(request)
        check_search(request.configs)
        if arguments.cfg:
            return _ask_hydra(conf_dir, words, arguments.overrides)
        check_downloads(request.configs)
    except ConfigError as error:
        count = len(error.faults)
        say_error(f"embfact: nothing was started; {count} thing{'s' if count > 1 else ''} to mend:\n{error}")
        return 2
    return conduct(request, conf_dir)


def _parse(words: Sequence[str]) -> argparse.Namespace:
    """Hydra's own flags, with an unknown one refused as every other fault is."""
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise ConfigError([Fault(message, "", "see python train.py --help")])

    parser.error = refuse  # type: ignore[method-assign]
    # Intermixed, so that an override may also follow -m.
    arguments = parser.parse_intermixed_args(list(words))
    for flag in _REFUSED:
        if value := getattr(arguments, flag, None):
            what = f"--{flag.replace('_', '-')} is not supported"
            raise ConfigError([Fault(what, str(value), "put YAML files into conf/ and choose them: group=name")])
    return arguments


def _ask_hydra(conf_dir: Path, words: Sequence[str], overrides: Sequence[str]) -> int:
    # Hydra's own parser wants its flags after the overrides, or before them.
    sys.argv[1:] = [*overrides, *(word for word in words if word not in overrides)]
    hydra.main(version_base="1.3", config_path=str(conf_dir), config_name=CONFIG_NAME)(_nothing)()
    return 0


def _nothing(config: DictConfig) -> None:
    """What Hydra would run after answering a question: nothing."""
