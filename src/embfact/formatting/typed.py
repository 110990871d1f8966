"""Values of a configuration as one would type them. Light to import: only the standard library."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

_ZEROS = "000000"  # nobody counts more of them


def typed(value: Any) -> str:
    """A value as in a configuration: ``null``, ``true``, ``1e10``, ``1.0``, ``[0.9,0.999]``; text as it is."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        text = number(value)
        return f"{text}.0" if text.lstrip("-").isdecimal() else text
    if isinstance(value, list | tuple):
        return f"[{','.join(map(typed, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{typed(one)}" for key, one in value.items()) + "}"
    return str(value)


def number(value: float) -> str:
    """The shortest text that reads back as the number: ``1e10``, ``2e-05``, ``0.1``, ``1``; all digits of an int."""
    if isinstance(value, int):
        return str(value)
    text = repr(float(value)).removesuffix(".0")
    if text.endswith(_ZEROS) and "." not in text and "e" not in text:
        text = str(Decimal(text).normalize()).lower()
    return text.replace("e+", "e")
