"""What the command lines for finished runs share: refusals in words, with exit code 2."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from embfact.errors import ConfigError, UserError
from embfact.system.atomic import write_text

MOST_LINES = 5  # of a refusal
_DEVICE = re.compile(r"cpu|mps|cuda(:\d+)?")


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are one line: the usage of many options hides what is wrong."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does, but take a value that starts with a dash: ``--text "-- what a film"``."""
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
            return self._get_value(action, "--")  # --text=--, which argparse takes for the end of the options
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and leave with exit code 2."""
        if message.startswith("argument --") and message.endswith("expected one argument"):
            message += f" (the name of another option is given as {message.split()[1].rstrip(':')}=VALUE)"
        self.exit(2, f"{self.prog}: {message}; see python scripts/{self.prog} --help\n")


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add what every such command takes: the run and the device."""
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory, with record.json and checkpoint")
    parser.add_argument(
        "--device", type=_device, help="cpu, cuda, cuda:1 or mps; without it a GPU if there is one, else the CPU"
    )


def answer(program: str, work: Callable[[], None]) -> int:
    """Do the work of a command.

    Args:
        program: Name of the command, for messages.
        work: The work.

    Returns:
        Exit code: 0, 2 if the user has something to mend, 130 if interrupted.
    """
    try:
        work()
    except (UserError, OSError) as error:
        lines = _describe(error).splitlines()
        if len(lines) > MOST_LINES:
            lines = [*lines[: MOST_LINES - 1], f"... and {len(lines) - MOST_LINES + 1} more"]
        print("\n".join([f"{program}: {lines[0]}", *lines[1:]]), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    return 0


def check_output(path: Path) -> None:
    """Refuse a file that cannot be written, before the work is done.

    Raises:
        UserError: If its folder does not exist, or it is a folder itself.
    """
    if not path.parent.is_dir() or path.is_dir():
        raise UserError(f"cannot write {path}: give --output a file name in a folder that exists")


def write_output(path: Path, text: str) -> None:
    """Write a file in one step, and say so."""
    write_text(path, text)
    print(f"wrote {path}")


def _device(name: str) -> str:
    if not _DEVICE.fullmatch(name):
        raise argparse.ArgumentTypeError(f"{name!r} is no device; use cpu, cuda, cuda:1 or mps")
    return name


def _describe(error: Exception) -> str:
    if isinstance(error, ConfigError):
        return "\n".join(map(str, error.errors))
    if isinstance(error, OSError) and error.filename:
        return f"cannot read or write {error.filename} ({error.strerror}); see its permissions and the free space"
    return str(error)
