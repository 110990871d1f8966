"""How long a sweep will still take. Light to import: the standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean


def time_left(ended: Sequence[float], waiting: int, running: Sequence[float], places: int) -> float | None:
    """Seconds until the last run ends, if all take as long as those that have ended; None before the first has.

    `ended` and `running` are the seconds of the runs that have ended and of those in progress.
    """
    if not ended:
        return None
    usual = mean(ended)
    rest = [max(0.0, usual - seconds) for seconds in running]
    # Never less than the running one that has longest to go.
    return max([(waiting * usual + sum(rest)) / places, *rest])
