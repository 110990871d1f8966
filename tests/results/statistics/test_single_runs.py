"""McNemar's test is for two single runs and says so."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from embfact.results.statistics.outcomes import Outcomes, StatisticsError
from embfact.results.statistics.single_runs import mcnemar


def test_it_is_the_exact_binomial_test_of_discordant_examples(real_seeds: dict[str, Outcomes]) -> None:
    first, second = real_seeds["none"].only((3,)), real_seeds["svd"].only((8,))
    found = mcnemar(first, second)
    right = [row.predictions[0] == row.labels for row in (first, second)]
    only = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    assert (found.only_first, found.only_second) == only
    assert found.p_value == pytest.approx(stats.binomtest(only[0], sum(only)).pvalue)
    assert "two single runs" in found.label
    assert mcnemar(first, first).p_value == 1.0


def test_several_seeds_are_refused(real_seeds: dict[str, Outcomes]) -> None:
    with pytest.raises(StatisticsError, match=r"for two single runs \(found 20 and 1 seeds\); compare several"):
        mcnemar(real_seeds["none"], real_seeds["svd"].only((0,)))


def test_other_examples_and_regressions_are_refused() -> None:
    targets = np.linspace(0, 5, 4)
    runs = Outcomes((0,), np.arange(4), targets, targets[None])
    with pytest.raises(StatisticsError, match="not for a regression"):
        mcnemar(runs, runs)
    with pytest.raises(StatisticsError, match="other examples"):
        mcnemar(runs, Outcomes((0,), np.arange(4) + 1, targets, targets[None]))
