"""Seconds by step, and a peak of memory that is the run's own."""

import time

import numpy as np
import pytest

from embfact.system.resources import Stopwatch, peak_memory, reset_peak_memory


def test_steps_add_up_and_the_total_covers_them():
    watch = Stopwatch()
    for _ in range(2):
        with watch.step("data"):
            time.sleep(0.02)
    seconds = watch.seconds()
    assert seconds["data"] >= 0.04
    assert seconds["total"] >= seconds["data"]


def test_a_step_that_fails_is_counted():
    watch = Stopwatch()
    with pytest.raises(KeyError), watch.step("training"):
        raise KeyError
    assert "training" in watch.seconds()


def test_peak_memory_sees_an_allocation_and_forgets_it_on_reset():
    reset_peak_memory()
    before = peak_memory()
    block = np.ones(40_000_000)
    during = peak_memory()
    assert during - before > 300_000_000
    del block
    reset_peak_memory()
    if peak_memory() >= during:
        pytest.skip("this system does not let a process reset its peak (no writable /proc/self/clear_refs)")
    assert peak_memory() < during - 200_000_000
