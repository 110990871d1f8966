"""Where the uncertainty of a mean over seeds and examples comes from, and what follows for tests and intervals.

Runs of S seeds, all scored on the same n examples, are a crossed design: a seed moves all its examples, an example
moves all seeds, and the rest is their own. With the components s (seeds), e (examples) and r (the rest), the mean over
both has the variance s/S + e/n + r/(S n) (Owen, 2007, The pigeonhole bootstrap).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

_SMALLEST = 1e-100  # of p-values; Student quantiles further out overflow
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class Components:
    """Parts of the variance of a mean over seeds, each as a variance of that mean.

    Attributes:
        seeds: Number of seeds S.
        seed: s/S + r/(S n): the sample variance over seeds, divided by S; 0 for one seed, where it is not known.
        example: e/n + r/(S n): the variance over resampled examples, seeds held fixed.
        residual: r/(S n), which the two have in common; 0 for one seed.
    """

    seeds: int
    seed: float
    example: float
    residual: float

    @property
    def shared(self) -> float:
        """e/n: what more seeds do not lessen."""
        return max(self.example - self.residual, 0.0)

    def half_width(self, tail: float) -> float:
        """How far the truth may be from the mean, but for a probability `tail` on each side.

        The quantile is that of Cochran and Cox (1950): Student's for S - 1 degrees of freedom and the normal one,
        weighted by the variances that they belong to. It errs on the safe side for few seeds, where the approximation
        of Satterthwaite does not. The width is never less than that over examples alone.

        Args:
            tail: Probability on each side, e.g. 0.025 for an interval of 95 %; at most 0.5.
        """
        normal = -float(ndtri(tail))
        alone = normal * math.sqrt(self.example)
        total = self.seed + self.shared
        if self.seeds < 2 or not total:
            return alone
        student = -float(stdtrit(self.seeds - 1, tail))
        return max(alone, (student * self.seed + normal * self.shared) / math.sqrt(total))

    def p_value(self, difference: float) -> float:
        """Two-sided p-value of a mean for the truth 0: it is below 5 % where the interval of 95 % leaves 0 out.

        Args:
            difference: The mean.
        """
        distance = abs(difference)
        if not distance:
            return 1.0
        if self.half_width(_SMALLEST) <= distance:
            return 0.0
        where = brentq(lambda log: self.half_width(math.exp(log)) - distance, math.log(_SMALLEST), math.log(0.5))
        return min(1.0, 2 * math.exp(where))

    def of_seeds(self, seeds: int) -> Components:
        """What the components would be with another number of seeds."""
        share = self.seeds / seeds
        residual = self.residual * share
        return Components(seeds, self.seed * share, self.shared + residual, residual)

    def seeds_for(self, effect: float, tail: float, power: float) -> int | None:
        """The fewest seeds, two at least, that find an effect of this size with this probability.

        Args:
            effect: How far the truth is from what is to be refuted.
            tail: Probability of an error on each side.
            power: Probability of finding it, at least 0.5.

        Returns:
            The number; None if no thousand seeds would do, since the examples are too few, or if the components are of
            one seed.
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
    """The components of the mean of some values over seeds.

    The bootstrap over seeds needs no draws: the variance of a resampled mean is known, and is (S - 1)/S of what it
    should be, which matters for few seeds. So it is replaced by the sample variance; examples are resampled for all
    seeds alike.

    Args:
        values: One figure a seed; shape ``(S,)``.
        replicates: The same figures on resampled examples, the same examples for all seeds; shape ``(S, b)``.
    """
    count = len(values)
    means = replicates.mean(axis=0)
    example = float(means.var(ddof=1))
    if count < 2:
        return Components(count, 0.0, example, 0.0)
    residual = float((replicates - means).var(axis=1, ddof=1).sum() / (count * (count - 1)))
    return Components(count, float(values.var(ddof=1)) / count, example, residual)
