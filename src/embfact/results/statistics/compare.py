"""Methods compared over seeds and examples, paired on both: tests, intervals and non-inferiority."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from embfact.results.statistics.components import Components
from embfact.results.statistics.outcomes import Outcomes, StatisticsError
from embfact.results.statistics.resampling import Replicates

LEVEL = 0.95  # confidence of intervals and bounds
POWER = 0.8
SHARES = {"accuracy", "f1"}  # the other metrics are correlations


@dataclass(frozen=True)
class Comparison:
    """A method minus a reference.

    Attributes:
        difference: Mean over the common seeds, as a fraction: 0.01 is one point.
        low: Lower end of the confidence interval.
        high: Upper end of the confidence interval.
        p_value: Two-sided; None with one common seed, which allows no test of methods.
        seeds: The common seeds.
        examples: Number of examples.
        level: Confidence of the interval.
        note: What the figures are based on, which seeds are missing, and how many would be needed.
        components: Sources of the uncertainty.
    """

    difference: float
    low: float
    high: float
    p_value: float | None
    seeds: tuple[int, ...]
    examples: int
    level: float
    note: str
    components: Components

    @property
    def loss_bound(self) -> float:
        """Upper confidence bound of reference minus method (one-sided, at `level`)."""
        return self.components.half_width(1 - self.level) - self.difference


def compare(method: Replicates, reference: Replicates, level: float = LEVEL) -> Comparison:
    """Compare two methods by a paired test over seeds and examples.

    Raises:
        StatisticsError: If examples or labels differ, there is no common seed, or the metric is undefined for a run.
    """
    if not method.outcomes.same_examples(reference.outcomes):
        raise StatisticsError("it was scored on other examples or labels than the reference; train one of them again")
    if not set(method.outcomes.seeds) & set(reference.outcomes.seeds):
        own, other = (_listed(one.outcomes.seeds) for one in (method, reference))
        raise StatisticsError(
            f"it has no seed in common with the reference ({own} against {other}); train both with the same seeds"
        )
    pairs = method.minus(reference)
    parts, seeds = pairs.components(), pairs.outcomes.seeds
    half = parts.half_width((1 - level) / 2)
    found = Comparison(
        difference=pairs.mean,
        low=pairs.mean - half,
        high=pairs.mean + half,
        p_value=parts.p_value(pairs.mean) if len(seeds) > 1 else None,
        seeds=seeds,
        examples=len(pairs.outcomes.ids),
        level=level,
        note="",
        components=parts,
    )
    return replace(found, note=_note(found, method.outcomes, reference.outcomes))


def interval(found: Replicates, level: float = LEVEL) -> tuple[float, float]:
    """Confidence interval of the mean, over new seeds and examples; over examples only if there is one seed.

    Raises:
        StatisticsError: If the metric is undefined for a run.
    """
    half = found.components().half_width((1 - level) / 2)
    # With few seeds it would extend beyond the possible values of the metric.
    least = 0.0 if found.metric in SHARES else -1.0
    return max(found.mean - half, least), min(found.mean + half, 1.0)


def _note(found: Comparison, method: Outcomes, reference: Outcomes) -> str:
    examples = f"{found.examples:,} examples"
    if found.p_value is None:
        parts = [
            f"one seed in common ({found.seeds[0]}): no test of methods, and the interval is over {examples} only; "
            "a test needs at least two seeds, better five or more"
        ]
    else:
        parts = [f"over {len(found.seeds)} seeds and {examples}, paired on both"]
    for name, row in (("method", method), ("reference", reference)):
        if missing := {*method.seeds, *reference.seeds} - set(row.seeds):
            parts.append(f"seed {_listed(missing)} missing for the {name}")
    if found.p_value is not None and found.p_value >= 1 - found.level:
        needed = found.components.seeds_for(abs(found.difference), (1 - found.level) / 2, POWER)
        parts.append(
            "no number of seeds would show a difference this small on these examples"
            if needed is None
            else f"a difference of this size would need about {needed} seeds (power {POWER * 100:g} %)"
        )
    return "; ".join(parts)


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


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
    if len(comparison.seeds) < 2:
        text += " for these two runs (over examples only: one seed in common)"
    elif not holds:
        seeds = comparison.components.seeds_for(comparison.difference + margin, 1 - comparison.level, POWER)
        would = "no number of seeds would show" if seeds is None else f"about {seeds} seeds would show"
        tolerated = f"{margin * 100:g} point{'s' * (margin != 0.01)}"
        text += f"; {would} that it is below {tolerated}, if the difference is as observed"
    return NonInferiority(bound, holds, text)
