"""The ways to call a script that the tests of the command lines have."""

from tests.helpers.commands import modules_after, refused, run

__all__ = ["modules_after", "refused", "run"]
