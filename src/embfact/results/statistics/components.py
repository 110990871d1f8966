"""Where the uncertainty of a mean over seeds and examples comes from, and the tests and intervals that follow.

Runs of S seeds, all scored on the same n examples, are a crossed design: a seed moves all its examples, an example
moves all seeds, and the rest is their own. With the components s (seeds), e (examples) and r (the rest), the mean over
both has the variance s/S + e/n + r/(S n) (Owen, 2007, The pigeonhole bootstrap). Two methods share the examples, whose
component is that of their difference; their seeds are independent of each other, so their variances add up.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

_SMALLEST = 1e-100  # of p-values; Student quantiles further out overflow
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class Seeds:
    """What the seeds of one method say.

    Attributes:
        count: Number of seeds S.
        variance: Of their mean, s/S + r/(S n): the sample variance divided by S; 0 for one seed, where it is unknown.
    """

    count: int
    variance: float


@dataclass(frozen=True)
class Components:
    """Parts of the variance of a mean over seeds, or of the difference of two such means.

    Attributes:
        seeds: Of the method; for a difference, those of the reference follow.
        example: e/n + r/(S n): the variance over resampled examples, seeds held fixed.
        residual: r/(S n), which `example` and `seeds` both contain; for a difference, the sum over both methods.
    """

    seeds: tuple[Seeds, ...]
    example: float
    residual: float

    @property
    def seed(self) -> float:
        """The variance over seeds."""
        return sum(one.variance for one in self.seeds)

    @property
    def shared(self) -> float:
        """e/n: what more seeds do not reduce."""
        return max(self.example - self.residual, 0.0)

    @property
    def testable(self) -> bool:
        """Whether every method has the two seeds that a test needs."""
        return min(one.count for one in self.seeds) > 1

    def half_width(self, tail: float) -> float:
        """Half the width of a confidence interval.

        The half-widths of seeds (Student) and examples (normal) are combined as the sides of a right triangle (Zou and
        Donner, 2008), so that the whole is never below either, nor does it fall when the variance of the examples
        grows. It is never below the width over examples with the seeds held fixed.

        Args:
            tail: Probability on each side, e.g. 0.025 for an interval of 95 %; at most 0.5.
        """
        normal = -float(ndtri(tail))
        alone = normal * math.sqrt(self.example)
        if not self.testable:
            return alone
        student = self._student(tail)
        return max(alone, math.hypot(student * math.sqrt(self.seed), normal * math.sqrt(self.shared)))

    def _student(self, tail: float) -> float:
        """Student's quantile for the variance over seeds.

        For one method it has S - 1 degrees of freedom. For two they are Welch's (1947), which are too many where one
        method has three seeds and the other ten. There the quantile is moved towards the mean of both methods'
        quantiles, weighted by their variances (Cochran and Cox, 1950), which errs on the other side: the further, the
        more unequal the numbers of seeds are and the fewer the smaller one is.
        """
        quantiles = [-float(stdtrit(one.count - 1, tail)) for one in self.seeds]
        if not self.seed or len(self.seeds) == 1:
            return max(quantiles)
        freedom = self.seed**2 / sum(one.variance**2 / (one.count - 1) for one in self.seeds)
        welch = -float(stdtrit(freedom, tail))
        weighted = sum(q * one.variance for q, one in zip(quantiles, self.seeds, strict=True)) / self.seed
        fewest, most = sorted(one.count for one in self.seeds)
        return welch + (weighted - welch) * (1 - fewest / most) / (fewest - 1)

    def p_value(self, difference: float) -> float:
        """Two-sided p-value of a mean for the truth 0: below 5 % exactly where the interval of 95 % excludes 0.

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

    def of_seeds(self, count: int) -> Components:
        """What the components would be with another number of seeds of every method."""
        fewer = tuple(Seeds(count, one.variance * one.count / count) for one in self.seeds)
        # The rest is not told apart by method; it is split as the seeds are.
        share = sum(one.variance for one in fewer) / self.seed if self.seed else self.seeds[0].count / count
        residual = self.residual * share
        return Components(fewer, self.shared + residual, residual)

    def seeds_for(self, effect: float, tail: float, power: float) -> int | None:
        """The fewest seeds of every method, two at least, that find an effect of this size with this probability.

        Args:
            effect: How far the truth is from what is to be refuted.
            tail: Probability of an error on each side.
            power: Probability of finding it, at least 0.5.

        Returns:
            The number; None if a thousand seeds would not do, since the examples are too few, or if a method has one
            seed.
        """
        if not self.testable:
            return None

        def finds(count: int) -> bool:
            then = self.of_seeds(count)
            spare = effect - then.half_width(tail)
            return spare > 0 and spare >= float(ndtri(power)) * math.sqrt(then.seed + then.shared)

        candidates = range(2, _MOST_SEEDS + 1)
        first = bisect_left(candidates, True, key=finds)
        return candidates[first] if first < len(candidates) else None


def components(values: Sequence[np.ndarray], resampled: Sequence[np.ndarray]) -> Components:
    """The components of the mean of some values over seeds, or of the difference of two such means.

    The bootstrap over seeds needs no draws: the variance of a resampled mean is known, and is (S - 1)/S of what it
    should be, which matters for few seeds. So it is replaced by the sample variance; examples are resampled for all
    seeds and methods alike.

    Args:
        values: For each method, one figure per seed; shape ``(S,)``.
        resampled: The same figures on resampled examples, the same examples for all seeds of all methods; shape
            ``(S, b)``.
    """
    means = [drawn.mean(axis=0) for drawn in resampled]
    example = float((means[0] - means[1] if len(means) > 1 else means[0]).var(ddof=1))
    seeds, residual = [], 0.0
    for own, drawn, mean in zip(values, resampled, means, strict=True):
        count = len(own)
        seeds.append(Seeds(count, float(own.var(ddof=1)) / count if count > 1 else 0.0))
        if count > 1:
            residual += float((drawn - mean).var(axis=1, ddof=1).sum() / (count * (count - 1)))
    return Components(tuple(seeds), example, residual)
