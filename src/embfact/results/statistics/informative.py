"""Whether a task can tell methods apart at all: the dense model must do better than knowing next to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from embfact.results.statistics.outcomes import Outcomes
from embfact.results.statistics.resampling import Replicates, replicates

BASELINES = {"majority": "the majority class", "bag_of_tokens": "a bag of tokens"}


@dataclass(frozen=True)
class Informative:
    """Whether the dense model clearly beats the baselines.

    Attributes:
        verdict: True if it beats both; False if it does not beat one of them; None if that is not known.
        bound: What the dense model is above, with the confidence asked for (one-sided), over seeds and examples.
        note: In words.
    """

    verdict: bool | None
    bound: float
    note: str


def informative(
    dense: Outcomes,
    metric: str,
    baselines: Mapping[str, Mapping[str, float | None]],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Informative:
    """Tell whether the dense model clearly beats the majority class and a bag of tokens.

    Args:
        dense: Runs of the dense model.
        metric: Name of the metric.
        baselines: ``majority`` and ``bag_of_tokens`` -> metric -> value on the same split, as records hold them; any
            may be missing. They count as known figures. None is the correlation of a constant: none, so 0.
        level: Confidence.
        resamples: Resamples of the examples.
        seed: Of the random numbers.

    Raises:
        StatisticsError: If the metric is undefined for a run.
    """
    (found,) = replicates([dense], metric, resamples=resamples, seed=seed)
    return informative_of_replicates(found, baselines, level)


def informative_of_replicates(
    found: Replicates, baselines: Mapping[str, Mapping[str, float | None]], level: float
) -> Informative:
    """See `informative`."""
    bound = found.mean - found.components().half_width(1 - level)
    metric = found.metric
    known = {name: baselines[name][metric] or 0.0 for name in BASELINES if metric in baselines.get(name, {})}
    beaten = {name: bound > value for name, value in known.items()}
    words = [
        f"{'above' if beaten[name] else 'not clearly above'} {BASELINES[name]} ({value * 100:.1f})"
        for name, value in known.items()
    ]
    words += [f"{BASELINES[name]} not known" for name in BASELINES if name not in known]
    verdict = False if not all(beaten.values()) else True if len(known) == len(BASELINES) else None
    kind = {True: "informative", False: "uninformative", None: "not known whether informative"}[verdict]
    confidence = f"with {level * 100:g} % confidence dense is above {bound * 100:.1f}"
    alone = "" if len(found.outcomes.seeds) > 1 else " (over examples alone: one seed)"
    return Informative(verdict, bound, f"{kind}: {confidence}{alone}: {', '.join(words)}")
