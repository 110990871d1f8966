"""Seconds by step, and a peak of memory that is the run's own."""

import resource
from types import SimpleNamespace

import numpy as np
import pytest

from embfact.system import resources
from embfact.system.resources import Stopwatch, peak_memory, reset_peak_memory


def test_steps_add_up_and_the_total_covers_them(monkeypatch):
    moments = iter([0.0, 1.0, 3.0, 4.0, 8.0, 10.0])
    monkeypatch.setattr(resources, "time", SimpleNamespace(perf_counter=lambda: next(moments)))
    watch = Stopwatch()
    for _ in range(2):
        with watch.step("data"):
            pass
    assert watch.seconds() == {"data": 2 + 4, "total": 10}


def test_a_step_that_fails_is_counted():
    watch = Stopwatch()
    with pytest.raises(KeyError), watch.step("training"):
        raise KeyError
    assert "training" in watch.seconds()


def test_the_peak_is_the_one_that_the_system_tells_and_is_reset_as_it_wants(tmp_path, monkeypatch):
    for name in ("_STATUS", "_CLEAR"):
        monkeypatch.setattr(resources, name, tmp_path / name)
    (tmp_path / "_STATUS").write_text("Name:\tpython\nVmHWM:\t  123456 kB\nVmRSS:\t  100 kB\n")
    assert peak_memory() == 123456 * 1024
    reset_peak_memory()
    assert (tmp_path / "_CLEAR").read_text() == "5"


def test_without_that_it_is_the_peak_of_the_process(tmp_path, monkeypatch):
    for name in ("_STATUS", "_CLEAR"):
        monkeypatch.setattr(resources, name, tmp_path / "nowhere" / name)
    reset_peak_memory()
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=7000))
    monkeypatch.setattr(resources.sys, "platform", "linux")
    assert peak_memory() == 7000 * 1024
    monkeypatch.setattr(resources.sys, "platform", "darwin")
    assert peak_memory() == 7000


@pytest.mark.slow
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
