"""Shared by the command lines: parsing, refusals with exit code 2, and output files."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from embfact.errors import ConfigError, UserError
from embfact.log import as_called, say_error
from embfact.system.atomic import write_text

MOST_LINES = 5  # lines of a refusal
_DEVICE = re.compile(r"cpu|mps|cuda(:\d+)?")


class Parser(argparse.ArgumentParser):
    """A parser with one-line errors: printing the usage would hide them.

    It takes the name of a script (``runs.py``), which is that of the command (``embfact runs``) once installed.
    """

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog if prog.startswith("embfact ") else _called(prog), **options)

    def format_help(self) -> str:
        """The help, with its examples as the reader types them."""
        return as_called(super().format_help())

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does, but accept values that start with a dash: ``--text "-- what a film"``."""
        words = list(sys.argv[1:] if args is None else args)
        names = self._option_string_actions
        end = words.index("--") if "--" in words else len(words)
        for place in range(end - 1, 0, -1):
            option, value = words[place - 1 : place + 1]
            if option in names and names[option].nargs is None and value.startswith("-") and value not in names:
                words[place - 1 : place + 1] = [f"{option}{'=' if option.startswith('--') else ''}{value}"]
        return super().parse_known_args(words, namespace)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if arg_strings == ["--"] and action.option_strings and action.nargs is None:
            return self._get_value(action, "--")  # --text=--, which argparse would read as the end of the options
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        """Print the error and exit with code 2."""
        if message.startswith("argument --") and message.endswith("expected one argument"):
            message += f" (write a value that looks like an option as {message.split()[1].rstrip(':')}=VALUE)"
        called = self.prog if self.prog.startswith("embfact ") else f"python scripts/{self.prog}"
        self.exit(2, f"{self.prog}: {message}; see {called} --help\n")


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for a finished run: its directory and the device."""
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory with record.json and checkpoint")
    parser.add_argument(
        "--device", type=_device, help="cpu, cuda, cuda:1 or mps (default: a GPU if there is one, else the CPU)"
    )


def add_directories(parser: argparse.ArgumentParser, nargs: str = "+") -> None:
    """Add the directories, or URLs, of runs."""
    parser.add_argument(
        "directories", nargs=nargs, metavar="DIR", help="directory of runs, at any depth, or URL of published runs"
    )


def answer(program: str, work: Callable[[], None]) -> int:
    """Do the work of a command, and print user errors after the name of the program.

    Returns:
        Exit code: 0, 2 after a user error, 130 if interrupted.
    """
    try:
        work()
    except (UserError, OSError) as error:
        lines = _describe(error).splitlines()
        if len(lines) > MOST_LINES:
            lines = [*lines[: MOST_LINES - 1], f"... and {len(lines) - MOST_LINES + 1} more"]
        say_error("\n".join([f"{_called(program)}: {lines[0]}", *lines[1:]]))
        return 2
    except KeyboardInterrupt:
        say_error(f"{_called(program)}: interrupted")
        return 130
    return 0


def complain(program: str, text: str) -> None:
    """Print a line to standard error after the name of the program, as it was called."""
    say_error(f"{_called(program)}: {text}")


def check_output(path: Path) -> None:
    """Refuse a file that cannot be written, before the work is done.

    Raises:
        UserError: If its folder does not exist, or it is a folder itself.
    """
    if not path.parent.is_dir() or path.is_dir():
        raise UserError(f"cannot write {path}: give --output a file name in an existing folder")


def write_output(path: Path, text: str) -> None:
    """Write a file atomically, and print its path."""
    write_text(path, text)
    print(f"wrote {path}")


def _called(script: str) -> str:
    called = Path(sys.argv[0]).name
    return called if called.startswith("embfact ") else script


def _device(name: str) -> str:
    if not _DEVICE.fullmatch(name):
        raise argparse.ArgumentTypeError(f"{name!r} is not a device; use cpu, cuda, cuda:1 or mps")
    return name


def _describe(error: Exception) -> str:
    if isinstance(error, ConfigError):
        return "\n".join(map(str, error.errors))
    if isinstance(error, OSError) and error.filename:
        return f"cannot read or write {error.filename} ({error.strerror}); check its permissions and the free space"
    return str(error)
