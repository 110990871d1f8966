"""The seconds of a run are those of its stopwatch, with its training divided."""

from __future__ import annotations

import pytest

from embfact.profiling.profile import Profile
from embfact.profiling.report import Activity
from embfact.system.resources import Stopwatch


class Told(Stopwatch):
    """A stopwatch that shows what it is told to."""

    def __init__(self, **seconds: float) -> None:
        self.shown = seconds

    def seconds(self) -> dict[str, float]:
        return dict(self.shown)


def test_the_training_is_divided_and_the_rest_is_other() -> None:
    watch = Told(total=0.0)
    profile = Profile(watch)
    profile.timeline.seconds |= {Activity.FORWARD: 10.0, Activity.FACTORIZATION: 1.0, Activity.OTHER: 2.0}
    profile.timeline.left_out = 4.0
    watch.shown = {
        "data": 3.0,
        "evidence": 5.0,
        "factorization": 6.0,
        "training": 20.0,
        "evaluation": 7.0,
        "total": 50.0,
    }
    report = profile.report("a-run", "cpu", 1)
    assert {part: seconds for part, seconds in report.seconds.items() if seconds} == {
        Activity.LOADING: 3,
        Activity.EVIDENCE: 5,
        Activity.FACTORIZATION: 7,
        Activity.FORWARD: 10,
        Activity.EVALUATION: 7,
        Activity.OTHER: 50 - 4 - 32,
    }
    assert report.total == 46
    assert report.steps is None


def test_what_an_earlier_attempt_took_is_not_in_it() -> None:
    watch = Told(training=100.0, evidence=10.0, total=110.0)
    profile = Profile(watch)
    watch.shown = {"training": 120.0, "evidence": 13.0, "data": 1.0, "total": 136.0}
    profile.timeline.seconds[Activity.BACKWARD] = 18.0
    report = profile.report("a-run", "cpu", 1)
    assert report.total == pytest.approx(26)
    assert report.seconds[Activity.EVIDENCE] == 3
    assert report.seconds[Activity.OTHER] == pytest.approx(26 - 3 - 1 - 18)
