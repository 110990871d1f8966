"""Mistakes that a user can correct.

An error of this module is printed without a traceback. A `ConfigError` is found before anything is started (exit code
2); every other `UserError` fails only its own run (exit code 1 at the end of the sweep).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec


class UserError(ValueError):
    """A mistake in the user's input: the message says what is wrong, the value found and the remedy."""


class DataError(UserError):
    """The data cannot be used as it is; the message names the file and, if there is one, the row."""


class ModelError(UserError):
    """The backbone, or a saved run, cannot be loaded or cannot take the factorization."""


class DivergedError(UserError):
    """The training loss is infinite or not a number; the message names the step."""


@dataclass(frozen=True)
class ErrorDetail:
    """One error in a configuration.

    Attributes:
        what: The option and what is wrong with it, e.g. ``"rank must be at least 1"``.
        found: The value found; empty if `what` already contains it.
        remedy: What to type instead; empty if `what` already says it.
    """

    what: str
    found: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        found = f" (found {self.found})" if self.found else ""
        return f"{self.what}{found}" + (f"; {self.remedy}" if self.remedy else "")


class ConfigError(UserError):
    """All errors of a configuration, or of all configurations of a sweep."""

    def __init__(self, errors: Iterable[ErrorDetail]):
        self.errors: Sequence[ErrorDetail] = tuple(dict.fromkeys(errors))
        super().__init__("\n".join(f"- {detail}" for detail in self.errors))


def nearest(name: str, valid: Iterable[str]) -> str:
    """An offer of the valid names closest to a misspelt one, or of all of them if none is close.

    Args:
        name: What was typed.
        valid: The names that would have been accepted.

    Returns:
        E.g. ``"did you mean 'svd'?"`` or ``"use one of: none, random, svd"``.
    """
    names = sorted(valid)
    if close := difflib.get_close_matches(name, names, n=3, cutoff=0.6):
        return "did you mean " + " or ".join(map(repr, close)) + "?"
    return "use one of: " + ", ".join(names) if names else "there is nothing to choose from"


def extra_errors(module: str, extra: str, choice: str) -> list[ErrorDetail]:
    """An error if an optional module is missing that a choice, e.g. ``hydra/launcher=ray``, needs."""
    if find_spec(module) is not None:
        return []
    return [ErrorDetail(f"{choice} needs {module}, which is not installed", "", f"pip install 'embfact[{extra}]'")]
