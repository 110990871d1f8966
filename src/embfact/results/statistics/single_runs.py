"""Two single runs: what may be said of them, which is nothing about their methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embfact.results.statistics.outcomes import Outcomes, StatisticsError


@dataclass(frozen=True)
class SingleRuns:
    """McNemar's test of two runs.

    Attributes:
        only_first: Examples that only the first run had right.
        only_second: Examples that only the second run had right.
        p_value: Two-sided, exact.
        label: In words, what it is; to be shown wherever the p-value is.
    """

    only_first: int
    only_second: int
    p_value: float
    label: str = "McNemar's exact test of two single runs; it says nothing about their methods"


def mcnemar(first: Outcomes, second: Outcomes) -> SingleRuns:
    """Whether two trained models differ in how many examples they have right (McNemar, 1947; exact binomial form).

    Args:
        first: One run.
        second: One run, of the same examples; its seed may be another.

    Raises:
        StatisticsError: If there is more than one run on a side, examples differ, or targets are no classes.
    """
    from statsmodels.stats.contingency_tables import mcnemar as exact

    counts = [len(first.seeds), len(second.seeds)]
    if counts != [1, 1]:
        raise StatisticsError(
            f"McNemar's test is for two single runs (found {counts[0]} and {counts[1]} seeds); "
            "compare several seeds with embfact.results.statistics.compare"
        )
    if not first.same_examples(second):
        raise StatisticsError("the runs were scored on other examples or labels; train one of them again")
    if first.predictions.dtype.kind == "f":
        raise StatisticsError("McNemar's test is for classes, not for a regression; compare several seeds instead")
    right, other = first.predictions[0] == first.labels, second.predictions[0] == second.labels
    only_first, only_second = int((right & ~other).sum()), int((other & ~right).sum())
    table = np.array([[0, only_first], [only_second, 0]])  # examples on which both agree do not matter
    return SingleRuns(only_first, only_second, float(exact(table, exact=True).pvalue))
