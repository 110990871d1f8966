"""What is asked of Hydra rather than of embfact: ``--help``, ``--cfg``, ``--info`` and the like.

Hydra answers, and its refusals become embfact's: a few words and exit code 2, where Hydra would print a traceback.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import NoReturn

from hydra import version
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.errors import HydraException
from omegaconf import DictConfig

from embfact.config.compose import CONFIG_NAME, check_question
from embfact.config.overrides import refusing
from embfact.config.own_folder import VARIABLE
from embfact.errors import ConfigError, ErrorDetail

HELP = "see python train.py --help"
# Answered without a valid configuration; --cfg is one more question, of a valid one.
_QUESTIONS = ("help", "hydra_help", "version", "info", "shell_completion")
# Flags of Hydra's that would choose other configurations than those that are validated here.
_REFUSED = ("config_path", "config_name", "experimental_rerun")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Hydra's own flags, and the overrides among them.

    Raises:
        ConfigError: If a flag is unknown, not supported, or has no place beside the others.
        SystemExit: With 0, after ``--version`` is answered.
    """
    parser = _parser()
    # Intermixed, so that an override may also follow -m.
    arguments = parser.parse_intermixed_args(list(words))
    errors = [
        ErrorDetail(
            f"--{flag.replace('_', '-')} is not supported",
            str(value),
            "put YAML files into a folder of your own: --config-dir DIR, then group=name",
        )
        for flag in _REFUSED
        if (value := getattr(arguments, flag)) is not None
    ]
    if arguments.run and arguments.multirun:
        errors.append(ErrorDetail("--run and --multirun exclude each other", "", "give one of them"))
    if (arguments.cfg or arguments.info) and arguments.multirun:
        question = "--cfg" if arguments.cfg else "--info"
        errors.append(
            ErrorDetail(f"{question} is a question about one configuration", "--multirun", "leave out one of them")
        )
    if (arguments.package is not None and not arguments.cfg) or (
        arguments.resolve and not (arguments.cfg or arguments.help)
    ):
        errors.append(ErrorDetail("--package and --resolve say how --cfg answers", " ".join(words), "add --cfg job"))
    if errors:
        raise ConfigError(errors)
    if arguments.config_dir is not None:  # for the processes of a sweep too
        os.environ[VARIABLE] = str(Path(arguments.config_dir).expanduser().absolute())
        arguments.config_dir = None
    return arguments


def is_question(arguments: argparse.Namespace) -> bool:
    """Whether something is asked that any configuration can be asked, valid or not."""
    return any(getattr(arguments, name, None) for name in _QUESTIONS)


def ask(conf_dir: Path, arguments: argparse.Namespace) -> None:
    """Have Hydra answer a question on standard output.

    Raises:
        ConfigError: If it cannot.
    """
    if not arguments.shell_completion:  # whose words are no overrides
        check_question(conf_dir, arguments.overrides)
    said = io.StringIO()
    with redirect_stderr(said), refusing("Hydra cannot answer", " ".join(arguments.overrides), HELP):
        version.setbase("1.3")
        try:
            _run_hydra(arguments, _parser(), _nothing, str(conf_dir), CONFIG_NAME)
        except SystemExit as left:
            if left.code:
                raise HydraException(_last_line(said.getvalue())) from None
    sys.stderr.write(said.getvalue())


def _parser() -> argparse.ArgumentParser:
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise ConfigError([ErrorDetail(message, "", f"overrides are written key=value, without dashes; {HELP}")])

    parser.error = refuse  # type: ignore[method-assign]
    return parser


def _last_line(said: str) -> str:
    """What Hydra says before it leaves: a few lines, or a traceback, whose last ones tell."""
    lines = [line for line in said.splitlines() if line.strip() and "HYDRA_FULL_ERROR" not in line]
    if "Traceback (most recent call last):" in lines:
        lines = lines[-1:]
    return "\n".join(lines)


def _nothing(config: DictConfig) -> None:
    """What Hydra would run after answering a question: nothing."""
