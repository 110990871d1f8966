"""How much a method may lose at most, and how many seeds would show it."""

from __future__ import annotations

from dataclasses import dataclass

from embfact.results.statistics.compare import POWER, Comparison


@dataclass(frozen=True)
class NonInferiority:
    """Whether a method loses less than a margin.

    Attributes:
        bound: What reference minus method is below, as a fraction, with the confidence of the comparison.
        margin: The loss that would be tolerated, as a fraction.
        holds: Whether the bound is below the margin.
        sentence: The bound in words, and what it rests on.
    """

    bound: float
    margin: float
    holds: bool
    sentence: str


def noninferior(
    comparison: Comparison, margin: float, *, method: str = "method", reference: str = "dense"
) -> NonInferiority:
    """Test that a method loses less than a margin: the one-sided bound of the loss is below it.

    Args:
        comparison: Method minus reference.
        margin: The loss that would be tolerated, as a fraction: 0.008 is 0.8 point.
        method: What to call the method.
        reference: What to call the reference.
    """
    bound = comparison.loss_bound
    holds = bound < margin
    words = f"{reference} minus {method} is below {bound * 100:.2f} point with {comparison.level * 100:g} % confidence"
    if comparison.p_value is None:
        words += " for these runs (over examples alone: one seed)"
    elif not holds:
        seeds = seeds_needed(comparison, margin)
        would = "no number of seeds would show" if seeds is None else f"about {seeds} seeds of each would show"
        words += f"; {would} that it is below {margin * 100:g} point, if the difference is as observed"
    return NonInferiority(bound, margin, holds, words)


def seeds_needed(comparison: Comparison, margin: float | None = None, *, power: float = POWER) -> int | None:
    """How many seeds of each method would do, if the difference and its components are as observed.

    Args:
        comparison: What was observed.
        margin: A tolerated loss, as a fraction, which is to be shown not to be exceeded (one-sided); None asks for a
            difference from zero (two-sided).
        power: Probability that so many seeds show it.

    Returns:
        The fewest seeds, two at least; None if no thousand would do (the examples are too few, or the observed loss
        is not below the margin), or if one seed was observed, which does not tell how seeds differ.
    """
    tail = 1 - comparison.level
    if margin is None:
        return comparison.components.seeds_for(abs(comparison.difference), tail / 2, power)
    return comparison.components.seeds_for(comparison.difference + margin, tail, power)
