"""Methods compared over seeds and examples: paired on examples, which they share, and not on seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from embfact.results.statistics.components import Components
from embfact.results.statistics.outcomes import Outcomes, StatisticsError
from embfact.results.statistics.resampling import Replicates, components_of, replicates

POWER = 0.8
SHARES = {"accuracy", "f1"}  # the other metrics are correlations


@dataclass(frozen=True)
class Comparison:
    """A method minus a reference.

    Attributes:
        difference: Of the means over all seeds, as a fraction: 0.01 is one point.
        low: Lower end of the confidence interval.
        high: Upper end of it.
        p_value: Two-sided; None if one of the two has a single seed, which allows no test of methods.
        seeds: Numbers of seeds of the method and of the reference.
        examples: The number of examples.
        level: Confidence of the interval, e.g. 0.95.
        note: What the figures rest on, and how many seeds would do, as a sentence.
        components: Where the uncertainty comes from.
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

    @property
    def loss_bound(self) -> float:
        """What reference minus method is below, with the confidence of `level` (one-sided)."""
        return self.components.half_width(1 - self.level) - self.difference


def compare(
    method: Outcomes,
    reference: Outcomes,
    metric: str,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two methods by a test over seeds and examples.

    Args:
        method: The runs of the method.
        reference: The runs of what it is compared with, on the same examples; of any seeds.
        metric: Name of the metric.
        level: Confidence of the interval.
        resamples: Resamples of the examples.
        seed: Of the random numbers.

    Raises:
        StatisticsError: If examples or labels differ, or the metric is undefined for a run.
    """
    check_pair(method, reference)
    mine, theirs = replicates([method, reference], metric, resamples=resamples, seed=seed)
    return compare_replicates(mine, theirs, level)


def interval(
    outcomes: Outcomes, metric: str, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Confidence interval of a metric's mean over seeds, for other seeds and other examples of the same kind.

    Args:
        outcomes: The runs; for a single one the interval is over examples alone.
        metric: Name of the metric.
        level: Confidence of the interval.
        resamples: Resamples of the examples.
        seed: Of the random numbers.

    Raises:
        StatisticsError: If the metric is undefined for a run.
    """
    (found,) = replicates([outcomes], metric, resamples=resamples, seed=seed)
    return interval_of_replicates(found, level)


def check_pair(method: Outcomes, reference: Outcomes) -> None:
    """Refuse two rows that were not scored on the same examples.

    Raises:
        StatisticsError: If examples or labels differ.
    """
    if not method.same_examples(reference):
        raise StatisticsError("it was scored on other examples or labels than the reference; train one of them again")


def compare_replicates(method: Replicates, reference: Replicates, level: float) -> Comparison:
    """See `compare`; the two were made together, of outcomes that can be compared."""
    difference = method.mean - reference.mean
    parts = components_of(method, reference)
    half = parts.half_width((1 - level) / 2)
    found = Comparison(
        difference=difference,
        low=difference - half,
        high=difference + half,
        p_value=parts.p_value(difference) if parts.testable else None,
        seeds=(len(method.values), len(reference.values)),
        examples=len(method.outcomes.ids),
        level=level,
        note="",
        components=parts,
    )
    return replace(found, note=_note(found))


def interval_of_replicates(found: Replicates, level: float) -> tuple[float, float]:
    """See `interval`."""
    half = components_of(found).half_width((1 - level) / 2)
    # With few seeds it would reach beyond what the metric can be.
    least = 0.0 if found.metric in SHARES else -1.0
    return max(found.mean - half, least), min(found.mean + half, 1.0)


def _note(found: Comparison) -> str:
    examples, (mine, theirs) = f"{found.examples:,} examples", found.seeds
    if found.p_value is None:
        single = "both" if mine == theirs else "the method" if mine == 1 else "the reference"
        return (
            f"one seed of {single}: no test of methods, and the interval is over {examples} alone; "
            "two seeds are the least for a test, five or more tell more"
        )
    words = [f"over {mine} against {theirs} seeds and the same {examples}"]
    if found.p_value >= 1 - found.level:
        words.append(_needed(found.components.seeds_for(abs(found.difference), (1 - found.level) / 2, POWER)))
    return "; ".join(words)


def _needed(seeds: int | None) -> str:
    if seeds is None:
        return "no number of seeds would show a difference as small as this on these examples"
    return f"a difference of this size would need about {seeds} seeds of each (power {POWER * 100:g} %)"
