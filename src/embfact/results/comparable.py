"""Which runs repeat each other, and which may be compared: decided here alone, for every table, picture, page and test.

Besides the data and the seed, two kinds of options decide a result. The *method's own* are those that a dense run does
not have: the factorization with its options, its size and storage, what it looks at, how and when it is applied. All
others are the *conditions*: backbone, learning rate, epochs, dropout, pooling, precision, versions of libraries. Runs
that are equal in both repeat each other with other seeds, and nothing else is averaged. A method is compared with the
dense runs of the same data and the same conditions, which are those that `RunConfig.dense` gives, and with no others.

Light to import: the standard library only.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embfact.formatting.typed import number
from embfact.results.differences import flat
from embfact.runs.record import RunRecord

OWN = frozenset(
    {"method", "factorization", "size", "storage", "storage_group", "quantization", "evidence", "refactorize"}
    | {"optimizer.embedding_lr"}
)
"""Sections and options that a dense run does not have, or that change nothing in it."""
_DATA = frozenset({"data", "data_fingerprint"})
# Their place in a table is a row or a column of its own, not the words beside it.
_PLACED = frozenset({"method", "size", "storage", "storage_group", "quantization", "seed"})


@dataclass(frozen=True)
class Terms:
    """The options that decide a run's result, by dotted name, sorted by whose they are.

    Without the data and the seed, and without the name, size and storage of the method.

    Attributes:
        conditions: Those that the dense run has too.
        own: Those of the method alone; none for a dense run.
        found: What a search chose for this method and size. Its values are no conditions: methods that were tuned alike
            are comparable, although the values differ.
        search: How it searched for what dense runs have too, in words; empty if it did not.
    """

    conditions: Mapping[str, Any]
    own: Mapping[str, Any]
    found: Mapping[str, Any]
    search: str = ""


def terms_of(records: Sequence[RunRecord]) -> list[Terms]:
    """The terms of each record.

    Of runs that repeat each other some may have been trained before the search that found their options: the search is
    that of all of them, and the longest one where there were several.
    """
    searches: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for run in records:
        searches[_repeated(run)].append(run.config.get("search") or {})
    longest = {key: max(found, key=_trials) for key, found in searches.items()}
    return [terms(run.science, longest[_repeated(run)], run.model.fingerprint) for run in records]


def _repeated(run: RunRecord) -> str:
    return json.dumps([run.model.name, _seedless(run.science)], sort_keys=True)


def terms(science: Mapping[str, Any], search: Mapping[str, Any], model_fingerprint: str | None) -> Terms:
    """The terms of one run.

    Args:
        science: What its hash is taken over, as `embfact.runs.identity.science` gives it.
        search: The section ``search`` of its configuration.
        model_fingerprint: Of its backbone.
    """
    options = flat({name: value for name, value in science.items() if name not in _DATA | _PLACED})
    # Weights that a run started from differ from seed to seed; what they were made by is in the options.
    started = "model.from_run" in options
    options["model_fingerprint"] = "" if started else (model_fingerprint or "")[:8]
    found = {name: options.pop(name) for name in _space(search) if name in options}
    own = {name: options.pop(name) for name in list(options) if _is_own(name)}
    if options.get("trainable") == "projection":  # a whole table has none: the dense run trains everything
        options["trainable"], own["trainable"] = "all", "projection"
    if (science.get("method"), science.get("storage")) == ("none", "float32"):
        own, found = {}, {name: value for name, value in found.items() if not _is_own(name)}
    return Terms(options, own, found, tuned(search))


def group_of(science: Mapping[str, Any], search: Mapping[str, Any], model_fingerprint: str | None) -> str:
    """Eight digits that runs share which may be compared: those of the same data and conditions."""
    known = terms(science, search, model_fingerprint)
    return _digest([[science.get(name) for name in sorted(_DATA)], dict(known.conditions), known.search])


def seeds_of(science: Mapping[str, Any]) -> str:
    """Eight digits that runs share which repeat each other: those that differ in nothing but their seed."""
    return _digest(_seedless(science))


def _seedless(science: Mapping[str, Any]) -> dict[str, Any]:
    # Weights that runs started from differ with the seed.
    apart = {"seed", "model_fingerprint"} if "from_run" in (science.get("model") or {}) else {"seed"}
    return {name: value for name, value in science.items() if name not in apart}


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def _trials(search: Mapping[str, Any]) -> int:
    return int(search.get("trials") or 0)


def _space(search: Mapping[str, Any]) -> Mapping[str, Mapping[str, float]]:
    return search.get("space") or {} if _trials(search) else {}


def _is_own(name: str) -> bool:
    return name in OWN or name.partition(".")[0] in OWN


def tuned(search: Mapping[str, Any], own: bool = False) -> str:
    """What a search tuned and how, in words; empty if nothing.

    Args:
        search: The section ``search`` of a configuration.
        own: Tell of the options that methods have alone, and not of those that dense runs have too.
    """
    spans = {
        name: f"{number(known['low'])} to {number(known['high'])}" for name, known in sorted(_space(search).items())
    }
    options = " and ".join(f"{name} ({span})" for name, span in spans.items() if _is_own(name) == own)
    words = f"{options} tuned on the held-out slice: {_trials(search)} trials for each method and size"
    return (words + (" that has it" if own else "")) if options else ""
