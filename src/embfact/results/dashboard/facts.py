"""The records of many runs as the values that most of them share, and what each has of its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Leaf = tuple[Any, ...]  # (value,), or () if a run has no such key: null is a value too


@dataclass(frozen=True)
class Facts:
    """Documents as differences from the most common values.

    Attributes:
        keys: Dotted names.
        usual: The most common value of each key in a one-element list; an empty list if most documents lack the key.
        own: For each document the differing values, by index in `keys`.
    """

    keys: tuple[str, ...]
    usual: tuple[list[Any], ...]
    own: tuple[dict[int, list[Any]], ...]


def share(documents: Sequence[Mapping[str, Any]]) -> Facts:
    """Factor the common values out of nested JSON documents."""
    flats = [flat(document) for document in documents]
    keys = tuple(dict.fromkeys(key for known in flats for key in known))
    usual, own = [], tuple[dict[int, list[Any]], ...]({} for _ in flats)
    for place, key in enumerate(keys):
        leaves: list[Leaf] = [(known[key],) if key in known else () for known in flats]
        texts = [json.dumps(leaf, sort_keys=True) for leaf in leaves]
        commonest = Counter(texts).most_common(1)[0][0]
        usual.append(json.loads(commonest))
        for kept, text, leaf in zip(own, texts, leaves, strict=True):
            if text != commonest:
                kept[place] = list(leaf)
    return Facts(keys, tuple(usual), own)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves of a nested mapping by dotted name; lists and empty mappings are leaves."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) and value else {prefix + name: value}
    return found
