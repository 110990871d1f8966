"""A signal ends a process soon, with the exit code that shells expect, wherever the process is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import embfact
from embfact.system import signals
from embfact.system.signals import (
    SIGNALS,
    Interrupted,
    answer,
    check,
    describe_signal,
    held_back,
    interruptible,
    last_lines,
    leave,
    requested,
    take_over,
)

PROMISED = signals.GRACE
BOTH = pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """This very process would be ended if a test took longer than is promised; it is ended if one hangs."""
    monkeypatch.setattr(signals, "GRACE", 120.0)


def handlers() -> list[object]:
    return [signal.getsignal(signum) for signum in SIGNALS]


def fail_after(signum: int) -> None:
    with held_back():
        signal.raise_signal(signum)
        raise ZeroDivisionError


def start(code: str, *, grace: float = 60, twin: float = 60, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """A process of its own that says ``ready`` on its standard error when the signal may come."""
    before = (
        "import atexit, hashlib, os, sys, threading, time\n"
        "from embfact.system import signals\n"
        "from embfact.system.signals import *\n"
        "def ready(): print('ready', file=sys.stderr, flush=True)\n"
        f"signals.GRACE, signals.TWIN = {grace}, {twin}\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", before + code],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(embfact.__file__).parents[1]), "PYTHONUNBUFFERED": ""},
    )
    assert process.stderr
    assert process.stderr.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        return process.communicate(timeout=30)
    finally:
        process.kill()


@BOTH
def test_a_signal_is_raised_where_the_program_is(signum: int, code: int) -> None:
    reached = []

    def work() -> None:
        signal.raise_signal(signum)
        reached.append("after")

    with interruptible():
        with pytest.raises(Interrupted) as caught:
            work()
        assert requested() is None
        check()
    assert reached == []
    assert (caught.value.signum, caught.value.exit_code) == (signum, code)
    assert str(caught.value) == f"interrupted by {signal.Signals(signum).name}"
    assert describe_signal(signum).startswith(str(caught.value))
    # No handler of failures takes it for one.
    assert not isinstance(caught.value, Exception)


def test_a_signal_wakes_a_program_that_waits() -> None:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with interruptible(), pytest.raises(Interrupted):
        threading.Event().wait()  # nothing else ends it


@BOTH
def test_what_is_held_back_is_raised_at_the_end_of_the_block(signum: int, code: int) -> None:
    seen = []

    def train() -> None:
        with held_back():
            with held_back():
                signal.raise_signal(signum)
                seen.append(requested())
            check()
            seen.append(requested())

    with interruptible(), pytest.raises(Interrupted) as caught:
        train()
    assert seen == [signum, signum]
    assert caught.value.exit_code == code
    assert requested() is None


def test_without_a_signal_nothing_is_raised() -> None:
    with interruptible(), held_back():
        assert requested() is None
    check()


def test_a_block_can_answer_when_it_is_ready() -> None:
    done = []

    def train() -> None:
        with held_back():
            signal.raise_signal(signal.SIGINT)
            done.append("saved")
            answer()

    with interruptible():
        with pytest.raises(Interrupted) as caught:
            train()
        check()  # it is raised once
    assert done == ["saved"]
    assert caught.value.signum == signal.SIGINT


def test_who_answers_without_a_signal_of_his_own_was_told_by_another_device() -> None:
    with interruptible(), pytest.raises(Interrupted) as caught, held_back():
        answer()
    assert caught.value.exit_code == 143


def test_a_failure_goes_before_a_signal_that_was_held_back() -> None:
    with interruptible():
        with pytest.raises(ZeroDivisionError):
            fail_after(signal.SIGTERM)
        with pytest.raises(Interrupted):
            check()


def test_afterwards_all_is_as_it_was() -> None:
    before, files = handlers(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        with interruptible():
            assert handlers() != before
            with pytest.raises(Interrupted):
                signal.raise_signal(signal.SIGTERM)
        assert handlers() == before
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    assert wakeup == -1
    deadline = time.monotonic() + 60
    while any(thread.name.startswith("interruption") for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a thread is left"
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) <= files  # noqa: PTH208


def test_a_signal_of_an_earlier_block_is_forgotten() -> None:
    with pytest.raises(ZeroDivisionError), interruptible():
        fail_after(signal.SIGTERM)
    with interruptible():
        check()


def test_an_inner_block_leaves_the_handlers_to_the_outer_one() -> None:
    with interruptible():
        ours = handlers()
        with interruptible():
            assert handlers() == ours
        assert handlers() == ours
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)


def test_what_was_ignored_from_the_start_stays_ignored() -> None:
    # As Ctrl-C is for a command that a script has started in the background.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGINT)
            take_over()
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_nothing_is_installed() -> None:
    before, seen = handlers(), []

    def work() -> None:
        with interruptible():
            take_over()
            seen.append(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_what_a_library_has_installed_is_replaced_within_a_block_alone() -> None:
    before = handlers()
    take_over()
    assert handlers() == before
    with interruptible():
        for signum in SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
        take_over()
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGINT)
    assert handlers() == before


def test_last_words_are_for_a_process_that_has_to_be_ended() -> None:
    said: list[str] = []
    with interruptible(), pytest.raises(Interrupted), last_lines(said.append):
        signal.raise_signal(signal.SIGTERM)
    assert said == []


# Both come back to Python only when they are done: one computes, one waits for a lock that nobody lets go of.
STUCK = {
    signal.SIGINT: "hashlib.pbkdf2_hmac('sha256', b'word', b'salt', 10**9)",
    signal.SIGTERM: "with held_back():\n        lock = threading.Lock(); lock.acquire(); lock.acquire()",
}


@BOTH
def test_a_program_that_does_not_come_back_is_ended_in_time(signum: int, code: int) -> None:
    process = start(
        "def fail(reason): raise RuntimeError\n"
        "def say(reason): print(reason, flush=True)\n"
        "threading.Timer(0.3, ready).start()\n"  # when it is stuck already
        f"with interruptible(), last_lines(say), last_lines(fail):\n    {STUCK[signum]}\n",
        grace=1.0,
    )
    process.send_signal(signum)
    out, err = end(process)
    assert process.returncode == code
    # The words of one that fails cost the other ones nothing.
    assert out == f"interrupted: ended by 1 seconds after {signal.Signals(signum).name}\n"
    assert f"embfact: {describe_signal(signum)}" in err
    assert "Traceback" not in err


def test_five_seconds_are_promised() -> None:
    assert 1 <= PROMISED < 5


TWICE = (
    "with interruptible(), last_lines(lambda reason: print(reason, flush=True)), held_back():\n"
    "    ready()\n"
    "    while requested() is None: time.sleep(0.01)\n"
    "    ready(); time.sleep(60)\n"
)


def signalled_twice(pause: float, **limits: float) -> tuple[int, str]:
    """The exit code and the last words of a process that got both signals after each other."""
    process = start(TWICE, **limits)
    process.terminate()
    assert process.stderr
    assert process.stderr.readline() == "ready\n"
    time.sleep(pause)
    process.send_signal(signal.SIGINT)
    out, _ = end(process)
    return process.returncode, out


def test_a_second_signal_ends_at_once() -> None:
    code, said = signalled_twice(pause=0.2, twin=0.1)
    assert code == 143  # the first one counts
    assert said == "interrupted: ended by a second signal\n"


def test_the_same_signal_by_two_ways_counts_once() -> None:
    """A terminal tells every process of a group, and so does their parent."""
    code, said = signalled_twice(pause=0, grace=1)
    assert code == 143
    assert said == "interrupted: ended by 1 seconds after SIGTERM\n"


LEAVING = "atexit.register(time.sleep, 60); print('the last line', end=''); ready(); leave({code})"


def test_after_a_signal_nobody_waits_for_what_libraries_do_at_the_end() -> None:
    process = start(LEAVING.format(code=130))
    out, _ = end(process)
    assert (process.returncode, out) == (130, "the last line")


def test_a_reader_who_has_gone_does_not_change_the_exit_code() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = start(LEAVING.format(code=143), stdout=writer)
    os.close(writer)
    _, err = end(process)
    assert (process.returncode, err) == (143, "")


@pytest.mark.parametrize("code", [0, 1, 2])
def test_without_a_signal_a_program_leaves_as_always(code: int) -> None:
    with pytest.raises(SystemExit) as caught:
        leave(code)
    assert caught.value.code == code
