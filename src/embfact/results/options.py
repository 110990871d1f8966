"""The options shown in the rows of a table: those that vary between its runs.

Light to import: the standard library only.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from embfact.formatting.typed import number
from embfact.results.comparable import DISTILL, Terms, terms_of
from embfact.results.differences import describe_options, differing
from embfact.results.versions import source_of
from embfact.runs.record import RunRecord

Key = TypeVar("Key", bound=Hashable)


class VaryingOptions:
    """Descriptions of the options of records.

    Conditions are compared between all runs of a backbone on a data set; a method's own options between the runs of
    that method. Options may differ between data sets and between methods.
    """

    def __init__(self, records: Sequence[RunRecord]):
        self._terms = {id(run): terms for run, terms in zip(records, terms_of(records), strict=True)}
        models = grouped(records, lambda run: (run.data.name, run.model.name))
        methods = grouped(records, lambda run: (run.data.name, run.model.name, run.method.name))
        self._conditions = self._varying(models.values(), lambda terms: {**terms.conditions, **terms.found})
        self._own = self._varying(methods.values(), lambda terms: terms.own)

    def conditions(self, run: RunRecord) -> str:
        """The conditions of a run that vary; equal for comparable runs."""
        return describe_options(self._terms[id(run)].conditions, self._conditions)

    def options(self, run: RunRecord) -> str:
        """The conditions and method options of a run that vary."""
        terms = self._terms[id(run)]
        return describe_options({**terms.conditions, **terms.own}, self._conditions | (self._own & set(terms.own)))

    def found(self, runs: Iterable[RunRecord]) -> str:
        """The values that a search chose for some runs, if they vary: ``lr=0.0001 to 0.0003``."""
        values: dict[str, set[float]] = defaultdict(set)
        for run in runs:
            for name, value in self._terms[id(run)].found.items():
                values[name].add(value)
        spans = {name: dict.fromkeys([min(numbers), max(numbers)]) for name, numbers in values.items()}
        return describe_options(
            {name: " to ".join(map(number, span)) for name, span in spans.items()}, self._conditions
        )

    def search(self, run: RunRecord) -> str:
        """How the options of a run were tuned; empty if they were not."""
        return self._terms[id(run)].search

    def answers(self, runs: Sequence[RunRecord]) -> list[list[RunRecord]]:
        """The runs of a row, split if they were tuned differently or more than once on the same data."""

        def answer(run: RunRecord) -> str:
            return json.dumps(self._terms[id(run)].found, sort_keys=True)

        once = all(len({*map(answer, alike)}) == 1 for alike in grouped(runs, source_of).values())
        if once and len({*map(self.search, runs)}) == 1:
            return [list(runs)]
        return list(grouped(runs, lambda run: (self.search(run), answer(run))).values())

    def _varying(
        self, groups: Iterable[Sequence[RunRecord]], part: Callable[[Terms], Mapping[str, Any]]
    ) -> frozenset[str]:
        return frozenset(name for runs in groups for name in _differing([part(self._terms[id(run)]) for run in runs]))


def _differing(facts: Sequence[Mapping[str, Any]]) -> set[str]:
    """The names whose values differ; how a run is distilled is a difference between distilled runs alone."""
    how = DISTILL - {"task.distill"}
    return differing(facts) - how | differing(one for one in facts if DISTILL & one.keys()) & how


def grouped(runs: Iterable[RunRecord], key_of: Callable[[RunRecord], Key]) -> dict[Key, list[RunRecord]]:
    """Runs by a key, in the order in which the keys appear."""
    groups: dict[Key, list[RunRecord]] = defaultdict(list)
    for run in runs:
        groups[key_of(run)].append(run)
    return dict(groups)
