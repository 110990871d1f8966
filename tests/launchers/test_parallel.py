"""Runs side by side: in order, reported as they end, and none lost but that of a process that dies."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from embfact.launchers.parallel import Pool
from embfact.launchers.slots import Slot
from embfact.launchers.sweep_task import SweepTask
from embfact.runs.planned import Outcome, PlannedRun
from embfact.runs.status import LOCK, read_status
from embfact.system.cores import usable_cores
from embfact.system.lock import holder
from tests.helpers.commands import Answer
from tests.helpers.places import ROOT
from tests.helpers.stand_in import notes, planned, tell, work

TWO = [Slot(1, "0"), Slot(1, "1")]


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc").is_dir() else True


def eventually(
    condition: Callable[[], object], seconds: float = 120.0
) -> None:  # a busy machine starts processes slowly
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def directory(run: PlannedRun) -> Path:
    assert run.identity is not None
    return run.identity.directory


def do(folder: Path, *tags: str, slots: list[Slot] = TWO, fail_fast: bool = False) -> tuple[SweepTask, list[int]]:
    """A sweep of stand-ins, and the numbers of the runs in the order in which they were reported."""
    sweep, reported = SweepTask(planned(folder, *tags), fail_fast), []
    report = sweep.report

    def watched(number: int, outcome: Outcome) -> None:
        reported.append(number)
        report(number, outcome)

    sweep.report = watched  # type: ignore[method-assign]
    Pool(sweep, slots, work).run()
    return sweep, reported


def test_every_run_is_done_in_order_whatever_becomes_of_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tags = [
        "sleep=1",
        "running signal=9",
        "raise=ouch",
        "busy",
        "running signal=15 sleep=9",
        "diverged=nan",
        "failed=no",
    ]
    sweep, reported = do(tmp_path, *tags)

    states = [sweep.outcomes[number].state for number in range(len(tags))]
    assert states == ["finished", "failed", "failed", "busy", "interrupted", "diverged", "failed"]
    assert sorted(reported) == list(range(len(tags)))
    assert reported.index(1) < reported.index(0), "the first one took longest, and the others did not wait for it"
    handed_out = [note[0] for note in notes(tmp_path)]
    assert handed_out[2:] == ["2", "3", "4", "5", "6"]
    assert sorted(handed_out[:2]) == ["0", "1"]

    killed = sweep.runs[1]
    assert "killed by signal 9 (out of memory?)" in sweep.outcomes[1].message
    status = read_status(directory(killed))
    assert status is not None
    assert (status.state, status.message) == ("failed", sweep.outcomes[1].message)
    assert not (directory(killed) / LOCK).exists()
    assert sweep.outcomes[1].message in (directory(killed) / "log.txt").read_text()
    assert "RuntimeError: ouch" in sweep.outcomes[2].message
    printed = capsys.readouterr().out
    assert f"[2/7] {killed.title}  FAILED" in printed
    assert "killed by signal" not in printed, "why is told once, at the end of the sweep"
    assert re.search(r"^\[1/7\] .* about \d+ s left$", printed, re.M)


def test_a_process_does_many_runs_and_keeps_its_threads_and_its_gpu(tmp_path: Path):
    do(tmp_path, *["sleep=0.2"] * 5, slots=[Slot(3, "GPU-a"), Slot(3, "GPU-b")])
    assert {tuple(note[2:5]) for note in notes(tmp_path)} == {("3", "3", "GPU-a"), ("3", "3", "GPU-b")}
    assert len({note[1] for note in notes(tmp_path)}) == 2
    assert not any(lives(int(note[1])) for note in notes(tmp_path))


def test_a_run_that_was_begun_with_more_threads_goes_on_with_its_share(tmp_path: Path):
    more, fewer, _ = planned(tmp_path, *[""] * 3)
    tell(more, state="interrupted", threads=8)
    tell(fewer, state="interrupted", threads=2)
    do(tmp_path, *["sleep=0"] * 3, slots=[Slot(3)])
    # None: what it was begun with, or all that its process has.
    assert [(note[0], note[-1]) for note in notes(tmp_path)] == [("0", "3"), ("1", "None"), ("2", "None")]


def test_a_stopped_sweep_lets_running_runs_finish_and_starts_no_other(tmp_path: Path):
    sweep, _ = do(tmp_path, "sleep=1.5", "failed=no", "sleep=0", "sleep=0", fail_fast=True)
    assert [sweep.outcomes[number].state for number in range(4)] == ["finished", "failed", "unstarted", "unstarted"]
    assert sorted(note[0] for note in notes(tmp_path)) == ["0", "1"]


def test_processes_that_cannot_start_end_the_sweep_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    here = f"import os\nif os.getpid() != {os.getpid()}:\n    import nonsense\n"
    (tmp_path / "torn.py").write_text(f"{here}def work(run): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    import torn

    sweep = SweepTask(planned(tmp_path, *["sleep=0"] * 3))
    Pool(sweep, TWO, torn.work).run()
    assert [outcome.state for outcome in sweep.outcomes.values()] == ["failed"] * 3
    assert "No module named 'nonsense'" in sweep.outcomes[2].message


def start(folder: Path, *tags: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.helpers.stand_in", str(folder), *tags]
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_every_run_and_none_is_left(tmp_path: Path, signum: signal.Signals):
    # One that ends when it is told to, one that does not, and one that is never started.
    runs = planned(tmp_path, "running sleep=60", "running stubborn", "sleep=0")
    sweep = start(tmp_path, *(" ".join(run.config.tags) for run in runs))
    eventually(lambda: all(read_status(directory(run)) for run in runs[:2]))
    sweep.send_signal(signum)
    # How soon depends on who else wants the cores; what a run has of time is tested in tests/system.
    assert sweep.wait(60) == 128 + signum
    for run in runs[:2]:
        status = read_status(directory(run))
        assert status is not None
        assert status.state == "interrupted"
        assert holder(directory(run) / LOCK) is None
    assert not any(lives(int(note[1])) for note in notes(tmp_path))
    assert len(notes(tmp_path)) == 2


def test_no_run_goes_on_for_a_sweep_that_was_killed(tmp_path: Path):
    runs = planned(tmp_path, "running sleep=60", "running stubborn")
    sweep = start(tmp_path, *(" ".join(run.config.tags) for run in runs))
    eventually(lambda: all(read_status(directory(run)) for run in runs))
    sweep.kill()
    sweep.wait()
    eventually(lambda: not any(lives(int(note[1])) for note in notes(tmp_path)), 45)
    assert [status.state for run in runs if (status := read_status(directory(run)))] == ["interrupted", "interrupted"]


def test_too_many_runs_are_refused_before_anything_is_written(
    tmp_path: Path, train: Callable[..., Answer], tiny: list[str]
):
    too_many = usable_cores() + 1
    words = ["factorization=svd", "rank=8,16", "hydra/launcher=parallel", f"hydra.launcher.runs={too_many}", "-m"]
    answer = train(*tiny, *words, cwd=tmp_path)
    assert answer.code == 2
    assert f"set hydra.launcher.runs={usable_cores()}" in answer.err
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(usable_cores() < 2, reason="two runs side by side need two cores")
def test_a_killed_process_loses_its_run_and_the_same_command_does_it_again(
    tmp_path: Path, train: Callable[..., Answer], tiny: list[str]
):
    words = [*tiny, "factorization=svd", "rank=8,16", "output_dir=out", "hydra/launcher=parallel"]
    words += ["hydra.launcher.runs=2", "baseline=false", "-m"]

    def running() -> int | None:
        found = [status for place in tmp_path.glob("out/*-svd-r8-*") if (status := read_status(place))]
        return found[0].pid if found and found[0].state == "running" else None

    def kill() -> None:
        eventually(running, 120)
        pid = running()
        assert pid not in (None, os.getpid())
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    first = train(*words, cwd=tmp_path)
    killer.join()
    assert first.code == 1
    assert len(list(tmp_path.glob("out/*/record.json"))) == 1
    assert "svd-r8" in first.err
    assert "killed by signal 9 (out of memory?); rerun the same command to resume it" in first.err

    second = train(*words, cwd=tmp_path)
    assert second.code == 0, second.err
    assert "1 of 2 runs are already finished" in second.out
    records = [json.loads(file.read_text()) for file in tmp_path.glob("out/*/record.json")]
    assert [record["status"] for record in records] == ["finished"] * 2
    assert {record["training"]["threads"] for record in records} == {usable_cores() // 2}
    assert not list(tmp_path.glob("out/*/*.lock"))
