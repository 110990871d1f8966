"""Engines that are not installed with embfact: looked for without importing them.

Light to import: the standard library only.
"""

from __future__ import annotations

from importlib.util import find_spec

from embfact.errors import ErrorDetail


def extra_errors(module: str, extra: str, choice: str) -> list[ErrorDetail]:
    """What to say if an optional package is not there; nothing if it is.

    Args:
        module: The name that it is imported by.
        extra: The extra of embfact that installs it.
        choice: What was asked for, e.g. ``hydra/launcher=ray``.
    """
    if find_spec(module) is not None:
        return []
    return [ErrorDetail(f"{choice} needs {module}, which is not installed", "", f"pip install 'embfact[{extra}]'")]
