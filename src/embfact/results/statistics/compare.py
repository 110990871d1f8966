"""Methods compared over seeds and examples, paired on examples only: tests, intervals and non-inferiority."""

from __future__ import annotations

from dataclasses import dataclass, replace

from embfact.results.chance import SHARES
from embfact.results.statistics.components import Components
from embfact.results.statistics.outcomes import StatisticsError
from embfact.results.statistics.resampling import Replicates, components_of

LEVEL = 0.95  # confidence of intervals and bounds
POWER = 0.8
NO_WIDTH = "so the interval has no width; this does not show that they are equal on others"


@dataclass(frozen=True)
class Comparison:
    """A method minus a reference.

    Attributes:
        difference: Of the means over all seeds, as a fraction: 0.01 is one point.
        low: Lower end of the confidence interval.
        high: Upper end of the confidence interval.
        p_value: Two-sided; None if either has a single seed, which allows no test of methods.
        seeds: Numbers of seeds of the method and of the reference.
        examples: Number of examples.
        level: Confidence of the interval.
        note: What the figures are based on, and how many seeds would be needed.
        components: Sources of the uncertainty.
        perfect: Whether every prediction of both is right: the interval then has no width.
    """

    difference: float
    low: float
    high: float
    p_value: float | None
    seeds: tuple[int, int]
    examples: int
    level: float
    note: str
    components: Components
    perfect: bool = False

    @property
    def loss_bound(self) -> float:
        """Upper confidence bound of reference minus method (one-sided, at `level`)."""
        return self.components.half_width(1 - self.level) - self.difference


def compare(method: Replicates, reference: Replicates, level: float = LEVEL) -> Comparison:
    """Compare two methods, with all their seeds, by a test over seeds and examples.

    Raises:
        StatisticsError: If examples or labels differ, or the metric is undefined for a run.
    """
    if not method.outcomes.same_examples(reference.outcomes):
        raise StatisticsError("it was scored on other examples or labels than the reference; train one of them again")
    difference, parts = method.mean - reference.mean, components_of(method, reference)
    half = parts.half_width((1 - level) / 2)
    most = 1.0 if method.metric in SHARES else 2.0  # what two figures can differ by
    found = Comparison(
        difference=difference,
        low=max(difference - half, -most),
        high=min(difference + half, most),
        p_value=parts.p_value(difference) if parts.testable else None,
        seeds=(len(method.values), len(reference.values)),
        examples=len(method.outcomes.ids),
        level=level,
        note="",
        components=parts,
        perfect=method.metric in SHARES and method.mean == reference.mean == 1,
    )
    return replace(found, note=_note(found))


def interval(found: Replicates, level: float = LEVEL) -> tuple[float, float]:
    """Confidence interval of the mean, over new seeds and examples; over examples only if there is one seed.

    Raises:
        StatisticsError: If the metric is undefined for a run.
    """
    half = components_of(found).half_width((1 - level) / 2)
    # With few seeds it would extend beyond the possible values of the metric.
    least = 0.0 if found.metric in SHARES else -1.0
    return max(found.mean - half, least), min(found.mean + half, 1.0)


def _note(found: Comparison) -> str:
    if found.perfect:
        return f"every prediction of both is right on these {found.examples:,} examples, {NO_WIDTH}"
    examples, (own, other) = f"{found.examples:,} examples", found.seeds
    if found.p_value is None:
        single = "both" if own == other else "the method" if own == 1 else "the reference"
        return (
            f"one seed of {single}: no test of methods, and the interval is over {examples} only; "
            "a test needs at least two seeds of each, better five or more"
        )
    note = f"over {own} against {other} seeds and the same {examples}"
    if found.p_value < 1 - found.level:
        return note
    needed = found.components.seeds_for(abs(found.difference), (1 - found.level) / 2, POWER)
    if needed is None:
        return f"{note}; not even 1,000 seeds of each would show a difference this small"
    return f"{note}; a difference of this size would need about {needed} seeds of each (power {POWER * 100:g} %)"


@dataclass(frozen=True)
class NonInferiority:
    """Whether a method loses less than a margin.

    Attributes:
        bound: Upper confidence bound of dense minus method, as a fraction.
        holds: Whether the bound is below the margin.
        sentence: The bound as a sentence, and what it is based on.
    """

    bound: float
    holds: bool
    sentence: str


def noninferior(comparison: Comparison, margin: float, *, method: str = "method") -> NonInferiority:
    """Test that a method loses less than a margin: the one-sided bound of the loss is below the margin.

    Args:
        comparison: Method minus dense.
        margin: The tolerated loss, as a fraction: 0.008 is 0.8 points.
        method: Name of the method in the sentence.
    """
    bound = comparison.loss_bound
    holds = bound < margin
    text = f"dense minus {method} is below {bound * 100:.2f} points with {comparison.level * 100:g} % confidence"
    if comparison.p_value is None:
        text += " for these runs (over examples only: one seed)"
    elif not holds:
        seeds = comparison.components.seeds_for(comparison.difference + margin, 1 - comparison.level, POWER)
        would = (
            "not even 1,000 seeds of each would show" if seeds is None else f"about {seeds} seeds of each would show"
        )
        tolerated = f"{margin * 100:g} point{'s' * (margin != 0.01)}"
        text += f"; {would} that it is below {tolerated}, if the difference is as observed"
    return NonInferiority(bound, holds, text)
