"""Which runs are repetitions with other seeds, and which are comparable: one rule for all tables, plots and tests.

Besides the data and the seed, two kinds of options decide a result. The *method's own* options do not exist for a dense
run: the factorization with its options, its size and storage, its evidence, how and when it is applied. All other
options are *conditions*: backbone, learning rate, epochs, dropout, pooling, precision, library versions. Runs equal in
both are repetitions, and only those are averaged. A method is compared only with dense runs of the same data and the
same conditions, as `RunConfig.dense` defines them.

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

DISTILL = frozenset(f"task.distill{part}" for part in ("", "_weight", "_temperature", "_embedding"))
OWN = frozenset(
    {"method", "factorization", "size", "storage", "storage_group", "quantization", "evidence", "refactorize"}
    | {"optimizer.embedding_lr", "trainer.factor_epochs"}
    | DISTILL
)
"""Sections and options that a dense run does not have, or that do not affect it."""
_DATA = frozenset({"data", "data_fingerprint"})
# Shown in a row or column of their own, or by another option, not in the description of options.
_PLACED = frozenset({"method", "size", "storage", "storage_group", "quantization", "seed", "teacher_fingerprint"})


@dataclass(frozen=True)
class Terms:
    """The options that decide a run's result, by dotted name, split into conditions and the method's own.

    Excludes data, seed, and the method's name, size and storage.

    Attributes:
        conditions: Options that the dense run has too.
        own: Options of the method only; empty for a dense run.
        found: Values that a search chose for this method and size. They are not conditions: methods tuned in the same
            way are comparable although the values differ.
        search: Description of the search for options that dense runs have too; empty without a search.
    """

    conditions: Mapping[str, Any]
    own: Mapping[str, Any]
    found: Mapping[str, Any]
    search: str = ""


def terms_of(records: Sequence[RunRecord]) -> list[Terms]:
    """The terms of each record.

    Some repetitions may have been trained before the search that found their options. The search then applies to all of
    them; if there were several, the longest one does.
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
        science: The hashed configuration, as from `embfact.runs.identity.science`.
        search: The section ``search`` of the configuration.
        model_fingerprint: Fingerprint of the backbone.
    """
    options = flat({name: value for name, value in science.items() if name not in _DATA | _PLACED})
    # Starting weights differ between seeds; the run that produced them is in the options.
    started = "model.from_run" in options
    options["model_fingerprint"] = "" if started else (model_fingerprint or "")[:8]
    found = {name: options.pop(name) for name in _space(search) if name in options}
    own = {name: options.pop(name) for name in list(options) if _is_own(name)}
    if options.get("trainable") == "projection":  # a dense table has no projection: the dense run trains everything
        options["trainable"], own["trainable"] = "all", "projection"
    if (science.get("method"), science.get("storage")) == ("none", "float32"):
        # One that learns from another run is not the dense run that others are compared with.
        options |= {name: value for name, value in own.items() if name in DISTILL}
        own, found = {}, {name: value for name, value in found.items() if not _is_own(name)}
    return Terms(options, own, found, describe_search(search))


def group_of(science: Mapping[str, Any], search: Mapping[str, Any], model_fingerprint: str | None) -> str:
    """Eight digits shared by comparable runs, that is runs with the same data and conditions."""
    known = terms(science, search, model_fingerprint)
    return _digest([[science.get(name) for name in sorted(_DATA)], dict(known.conditions), known.search])


def seeds_of(science: Mapping[str, Any]) -> str:
    """Eight digits shared by repetitions, that is runs that differ only in their seed."""
    return _digest(_seedless(science))


def _seedless(science: Mapping[str, Any]) -> dict[str, Any]:
    # The weights of the runs that they begin or learn from differ between seeds.
    apart = {"seed", "teacher_fingerprint"}
    apart |= {"model_fingerprint"} if "from_run" in (science.get("model") or {}) else set()
    return {name: value for name, value in science.items() if name not in apart}


def _digest(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def _trials(search: Mapping[str, Any]) -> int:
    return int(search.get("trials") or 0)


def _space(search: Mapping[str, Any]) -> Mapping[str, Mapping[str, float] | Sequence[float]]:
    return (search.get("space") if _trials(search) else search.get("grid")) or {}


def _is_own(name: str) -> bool:
    return name in OWN or name.partition(".")[0] in OWN


def describe_search(search: Mapping[str, Any], own: bool = False) -> str:
    """What a search tuned and how; empty if nothing.

    Args:
        search: The section ``search`` of a configuration.
        own: Describe the methods' own options instead of those that dense runs have too.
    """
    spans = {
        name: f"{number(known['low'])} to {number(known['high'])}"
        if isinstance(known, Mapping)
        else ", ".join(map(number, known))
        for name, known in sorted(_space(search).items())
    }
    options = " and ".join(f"{name} ({span})" for name, span in spans.items() if _is_own(name) == own)
    if not options:
        return ""
    seeds, trials = search.get("seeds", 1), _trials(search)
    if not trials:
        return f"{options} tuned on the held-out slice for each method: every value with {seeds} seeds"
    of = f" of {seeds} seeds" if seeds > 1 else ""
    text = f"{options} tuned on the held-out slice: {trials} trials{of} for each method and size"
    return text + (" that has it" if own else "")
