"""Variance components of a mean over seeds and examples, with the tests and intervals that follow from them.

Runs of S seeds scored on the same n examples are a crossed design: a seed affects all its examples, an example affects
all seeds, and a residual is specific to both. With the components s (seeds), e (examples) and r (residual), the mean
has the variance s/S + e/n + r/(S n) (Owen, 2007, The pigeonhole bootstrap).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

_SMALLEST = 1e-100  # p-value; Student quantiles further out overflow
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class Components:
    """Components of the variance of a mean over seeds, each as a variance of that mean.

    Attributes:
        seeds: Number of seeds S.
        seed: s/S + r/(S n): the sample variance over seeds divided by S; 0 for one seed, where it is unknown.
        example: e/n + r/(S n): the variance over resampled examples with fixed seeds.
        residual: r/(S n), which both include; 0 for one seed.
    """

    seeds: int
    seed: float
    example: float
    residual: float

    @property
    def shared(self) -> float:
        """e/n: what more seeds do not reduce."""
        return max(self.example - self.residual, 0.0)

    def half_width(self, tail: float) -> float:
        """Half the width of the confidence interval with probability `tail` on each side (0.025 for 95 %; at most 0.5).

        The quantile is that of Cochran and Cox (1950): the Student quantile with S - 1 degrees of freedom and the
        normal quantile, weighted by their variances. It is conservative for few seeds, where Satterthwaite's
        approximation is not. The interval is never narrower than over examples only.
        """
        normal = -float(ndtri(tail))
        alone = normal * math.sqrt(self.example)
        total = self.seed + self.shared
        if self.seeds < 2 or not total:
            return alone
        student = -float(stdtrit(self.seeds - 1, tail))
        return max(alone, (student * self.seed + normal * self.shared) / math.sqrt(total))

    def p_value(self, difference: float) -> float:
        """Two-sided p-value of a mean difference: below 5 % exactly if the 95 % interval excludes 0."""
        distance = abs(difference)
        if not distance:
            return 1.0
        if self.half_width(_SMALLEST) <= distance:
            return 0.0
        where = brentq(lambda log: self.half_width(math.exp(log)) - distance, math.log(_SMALLEST), math.log(0.5))
        return min(1.0, 2 * math.exp(where))

    def of_seeds(self, seeds: int) -> Components:
        """The components for another number of seeds."""
        share = self.seeds / seeds
        residual = self.residual * share
        return Components(seeds, self.seed * share, self.shared + residual, residual)

    def seeds_for(self, effect: float, tail: float, power: float) -> int | None:
        """The smallest number of seeds, at least two, that detects an effect with a given power.

        Args:
            effect: Distance of the truth from the value to refute.
            tail: Error probability on each side.
            power: Probability of detection, at least 0.5.

        Returns:
            The number; None if a thousand seeds would not suffice because there are too few examples, or if the
            components come from one seed.
        """
        if self.seeds < 2:
            return None

        def finds(seeds: int) -> bool:
            then = self.of_seeds(seeds)
            spare = effect - then.half_width(tail)
            return spare > 0 and spare >= float(ndtri(power)) * math.sqrt(then.seed + then.shared)

        candidates = range(2, _MOST_SEEDS + 1)
        first = bisect_left(candidates, True, key=finds)
        return candidates[first] if first < len(candidates) else None


def components(values: np.ndarray, replicates: np.ndarray) -> Components:
    """The variance components of a mean over seeds.

    The bootstrap over seeds needs no draws: the variance of a resampled mean is known to be (S - 1)/S of the right one,
    which matters for few seeds. It is therefore replaced by the sample variance.

    Args:
        values: One figure per seed, shape ``(S,)``.
        replicates: The figures on resampled examples, with the same resamples for all seeds, shape ``(S, b)``.
    """
    count = len(values)
    means = replicates.mean(axis=0)
    example = float(means.var(ddof=1))
    if count < 2:
        return Components(count, 0.0, example, 0.0)
    residual = float((replicates - means).var(axis=1, ddof=1).sum() / (count * (count - 1)))
    return Components(count, float(values.var(ddof=1)) / count, example, residual)
