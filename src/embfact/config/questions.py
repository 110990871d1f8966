"""Questions to Hydra rather than to embfact: ``--help``, ``--cfg``, ``--info`` and the like.

Hydra answers, and its refusals become embfact's: a short message and exit code 2, where Hydra would print a traceback.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NoReturn

from hydra.errors import HydraException

from embfact import __version__
from embfact.config.compose import check_question
from embfact.config.hydra_bridge import answer, argument_parser
from embfact.config.overrides import refusing
from embfact.config.own_folder import VARIABLE
from embfact.errors import ConfigError, ErrorDetail
from embfact.log import as_called

HELP = "see python train.py --help"
# Answered without a valid configuration; --cfg needs a valid one.
_QUESTIONS = ("help", "hydra_help", "version", "info", "shell_completion")
# Flags of Hydra that would choose other configurations than those validated here.
_REFUSED = ("config_path", "config_name", "experimental_rerun")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Hydra's own flags, and the overrides among them.

    Raises:
        ConfigError: If a flag is unknown, not supported, or cannot be combined with the others.
        SystemExit: With 0, after ``--version`` is answered.
    """
    # Intermixed, so that an override may also follow -m.
    flags = _parser().parse_intermixed_args(list(arguments))
    errors = [
        ErrorDetail(
            f"--{flag.replace('_', '-')} is not supported",
            str(value),
            "put YAML files into a folder of your own: --config-dir DIR, then group=name",
        )
        for flag in _REFUSED
        if (value := getattr(flags, flag)) is not None
    ]
    if flags.run and flags.multirun:
        errors.append(ErrorDetail("--run and --multirun exclude each other", "", "give one of them"))
    if (flags.cfg or flags.info) and flags.multirun:
        question = "--cfg" if flags.cfg else "--info"
        errors.append(ErrorDetail(f"{question} asks about one configuration", "--multirun", "leave out one of them"))
    if (flags.package is not None and not flags.cfg) or (flags.resolve and not (flags.cfg or flags.help)):
        found = " ".join(arguments)
        errors.append(ErrorDetail("--package and --resolve are options of --cfg", found, "add --cfg job"))
    if errors:
        raise ConfigError(errors)
    if flags.config_dir is not None:  # for the processes of a sweep too
        os.environ[VARIABLE] = str(Path(flags.config_dir).expanduser().absolute())
        flags.config_dir = None
    return flags


def is_question(flags: argparse.Namespace) -> bool:
    """Whether this is a question that needs no valid configuration."""
    return any(getattr(flags, name, None) for name in _QUESTIONS)


def ask(conf_dir: Path, flags: argparse.Namespace) -> None:
    """Let Hydra answer a question on standard output.

    Raises:
        ConfigError: If it cannot.
    """
    if not flags.shell_completion:  # its arguments are not overrides
        check_question(conf_dir, flags.overrides)
    said, answered = io.StringIO(), io.StringIO()
    with (
        redirect_stderr(said),
        redirect_stdout(answered),
        refusing("Hydra cannot answer", " ".join(flags.overrides), HELP),
    ):
        try:
            answer(flags, _parser(), lambda config: None, conf_dir)
        except SystemExit as left:
            if left.code:
                # A few lines, or a traceback, whose last line is the message.
                lines = [
                    line for line in said.getvalue().splitlines() if line.strip() and "HYDRA_FULL_ERROR" not in line
                ]
                whole = "Traceback (most recent call last):" not in lines
                raise HydraException("\n".join(lines if whole else lines[-1:])) from None
    sys.stdout.write(as_called(answered.getvalue()))
    sys.stderr.write(said.getvalue())


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser()
    for action in parser._actions:
        if "--version" in action.option_strings:  # Hydra would print its own
            action.version = f"embfact {__version__}"  # type: ignore[attr-defined]

    def refuse(message: str) -> NoReturn:
        raise ConfigError([ErrorDetail(message, "", f"overrides are written key=value, without dashes; {HELP}")])

    parser.error = refuse  # type: ignore[method-assign]
    return parser
