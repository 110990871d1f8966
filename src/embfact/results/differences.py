"""Options by dotted name, and a description of those in which runs differ.

Light to import: the standard library only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from embfact.formatting.typed import typed


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves of nested mappings by dotted name; an empty mapping has no leaves."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def differing(facts: Iterable[Mapping[str, Any]]) -> set[str]:
    """The names whose values differ; a missing value counts as null."""
    facts = list(facts)
    names = {name for known in facts for name in known}
    return {name for name in names if len({json.dumps(known.get(name), sort_keys=True) for known in facts}) > 1}


def describe_options(facts: Mapping[str, Any], names: Collection[str]) -> str:
    """Options as typed on the command line, ``epochs=3, lr=2e-05``; without their section if the name is unambiguous.

    Args:
        facts: Values by dotted name.
        names: The names to show; those without a value are skipped.
    """
    last = {name: name.rpartition(".")[2] for name in names}
    several = Counter(last.values())
    return ", ".join(
        f"{last[name] if several[last[name]] == 1 else name}={typed(facts[name])}"
        for name in sorted(names)
        if name in facts
    )
