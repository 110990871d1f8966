"""Mistakes a user can mend, told in words.

An error of this module is printed without a traceback. A `ConfigError` is found before anything is started (exit
code 2); every other `UserError` fails the one run that met it (exit code 1 at the end of the sweep).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class UserError(ValueError):
    """A mistake in what the user gave: the message says what is wrong, the value found and the remedy."""


class DataError(UserError):
    """The data cannot be used as it is; the message names the file and, where there is one, the row."""


class ModelError(UserError):
    """The backbone, or a saved run, cannot be loaded or cannot take the factorization."""


class DivergedError(UserError):
    """The loss of a training is infinite or no number; the message names the step."""


@dataclass(frozen=True)
class ErrorDetail:
    """One thing wrong in a configuration.

    Attributes:
        what: The option and what is wrong with it, e.g. ``"rank must be at least 1"``.
        found: The value found; empty where `what` already holds it.
        remedy: What to type instead; empty where `what` already says it.
    """

    what: str
    found: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        found = f" (found {self.found})" if self.found else ""
        return f"{self.what}{found}" + (f"; {self.remedy}" if self.remedy else "")


class ConfigError(UserError):
    """Every error of a configuration, or of all configurations of a sweep, at once."""

    def __init__(self, errors: Iterable[ErrorDetail]):
        self.errors: Sequence[ErrorDetail] = tuple(dict.fromkeys(errors))
        super().__init__("\n".join(f"- {detail}" for detail in self.errors))


def nearest(name: str, valid: Iterable[str], most: int = 3) -> str:
    """Words that offer the valid names closest to a misspelt one.

    Args:
        name: What was typed.
        valid: The names that would have been accepted.
        most: How many close names to offer; where none is close, all valid names are listed.

    Returns:
        E.g. ``"did you mean 'svd'?"`` or ``"use one of: none, random, svd"``.
    """
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=most, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(match) for match in close) + "?"
    return "use one of: " + ", ".join(names) if names else "there is nothing to choose from"
