"""Methods compared over seeds and examples, paired on both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from embfact.results.statistics.components import Components
from embfact.results.statistics.outcomes import Outcomes, StatisticsError
from embfact.results.statistics.resampling import Replicates, replicates

POWER = 0.8
SHARES = {"accuracy", "f1"}  # the other metrics are correlations


@dataclass(frozen=True)
class Comparison:
    """A method minus a reference.

    Attributes:
        difference: Mean over the seeds that both have, as a fraction: 0.01 is one point.
        low: Lower end of the confidence interval.
        high: Upper end of it.
        p_value: Two-sided; None for one common seed, which allows no test of methods.
        seeds: The seeds that both have.
        examples: The number of examples.
        level: Confidence of the interval, e.g. 0.95.
        note: In words: what the figures rest on, which seeds are missing, how many would do.
        components: Where the uncertainty comes from.
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
    """Compare two methods by a paired test over seeds and examples.

    Args:
        method: The runs of the method.
        reference: The runs of what it is compared with, on the same examples.
        metric: Name of the metric.
        level: Confidence of the interval.
        resamples: Resamples of the examples.
        seed: Of the random numbers.

    Raises:
        StatisticsError: If examples or labels differ, no seed is common, or the metric is undefined for a run.
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
    """Refuse two rows that cannot be paired.

    Raises:
        StatisticsError: If examples or labels differ, or no seed is common.
    """
    if not method.same_examples(reference):
        raise StatisticsError("it was scored on other examples or labels than the reference; train one of them again")
    if not set(method.seeds) & set(reference.seeds):
        raise StatisticsError(
            f"it has no seed in common with the reference ({_describe(method.seeds)} against "
            f"{_describe(reference.seeds)}); "
            "train both with the same seeds"
        )


def compare_replicates(method: Replicates, reference: Replicates, level: float) -> Comparison:
    """See `compare`; the two were made together, of outcomes that can be paired."""
    pairs = method.minus(reference)
    parts, seeds = pairs.components(), pairs.outcomes.seeds
    half = parts.half_width((1 - level) / 2)
    p_value = parts.p_value(pairs.mean) if len(seeds) > 1 else None
    found = Comparison(
        difference=pairs.mean,
        low=pairs.mean - half,
        high=pairs.mean + half,
        p_value=p_value,
        seeds=seeds,
        examples=len(pairs.outcomes.ids),
        level=level,
        note="",
        components=parts,
    )
    return replace(found, note=_note(found, method.outcomes, reference.outcomes))


def interval_of_replicates(found: Replicates, level: float) -> tuple[float, float]:
    """See `interval`."""
    half = found.components().half_width((1 - level) / 2)
    # With few seeds it would reach beyond what the metric can be.
    least = 0.0 if found.metric in SHARES else -1.0
    return max(found.mean - half, least), min(found.mean + half, 1.0)


def _note(found: Comparison, method: Outcomes, reference: Outcomes) -> str:
    examples = f"{found.examples:,} examples"
    if found.p_value is None:
        words = [
            f"one seed in common ({found.seeds[0]}): no test of methods, and the interval is over {examples} alone; "
            "two seeds are the least for a test, five or more tell more"
        ]
    else:
        words = [f"over {len(found.seeds)} seeds and {examples}, paired on both"]
    for name, row in (("method", method), ("reference", reference)):
        if lost := {*method.seeds, *reference.seeds} - set(row.seeds):
            words.append(f"seed {_describe(lost)} missing for the {name}")
    if found.p_value is not None and found.p_value >= 1 - found.level:
        words.append(_needed(found.components.seeds_for(abs(found.difference), (1 - found.level) / 2, POWER)))
    return "; ".join(words)


def _needed(seeds: int | None) -> str:
    if seeds is None:
        return "no number of seeds would show a difference as small as this on these examples"
    return f"a difference of this size would need about {seeds} seeds (power {POWER * 100:g} %)"


def _describe(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))
