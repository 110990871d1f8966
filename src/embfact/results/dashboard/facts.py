"""Everything known of each run, told once where runs agree: 2,000 configurations differ in a few values.

Light to import: the standard library only.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Leaf = tuple[Any, ...]  # (value,), or () where a run has no such key: null is a value too


@dataclass(frozen=True)
class Facts:
    """Documents as differences from what is usual.

    Attributes:
        keys: Dotted names.
        usual: The commonest value of each key, in a list of its own; an empty list where most have no such key.
        own: For each document the keys, by their place in `keys`, in which it is unlike the usual ones.
    """

    keys: tuple[str, ...]
    usual: tuple[list[Any], ...]
    own: tuple[dict[int, list[Any]], ...]


def share(documents: Sequence[Mapping[str, Any]]) -> Facts:
    """Take what is common out of documents.

    Args:
        documents: Nested mappings of values that JSON knows.
    """
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
