"""Errors of the machine, made for real: each gives a clear line, loses no finished run, and a rerun completes."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embfact.cli.runs import main as runs
from embfact.cli.train import main, run_request
from embfact.config.compose import RunRequest, read_request
from embfact.factorization.random import Random
from embfact.runs.record import read
from embfact.runs.status import read_status
from embfact.training import score
from tests.helpers.places import CONF

NOBODY = 65534
UNREADABLE = 98  # exit code of a child that cannot read the project itself
TWO = ["factorization=svd,none", "rank=8", "output_dir=runs", "-m"]


def states(folder: Path) -> dict[str, str]:
    """State of each run by its method."""
    found = {}
    for directory in folder.glob("runs/*/"):
        status = read_status(directory)
        found[directory.name.split("-scratch-")[1].rsplit("-", 1)[0]] = status.state if status else "none"
    return found


def finished_at(folder: Path) -> dict[str, int]:
    return {
        path.parent.name: path.stat().st_mtime_ns
        for path in folder.glob("runs/*/record.json")
        if read(path.parent).status == "finished"
    }


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let this process write no file larger than so many bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_runs_that_find_no_room_say_so_and_go_on_once_there_is_some(
    train: Any, tiny: list[str], tmp_path: Path
) -> None:
    assert train(*tiny, "factorization=none", "output_dir=runs", cwd=tmp_path).code == 0
    before = finished_at(tmp_path)
    with files_of_at_most(300_000):
        answer = train(*tiny, *TWO, cwd=tmp_path)
    assert answer.code == 1
    assert "the disk is full" in answer.err
    assert "Traceback" not in answer.out + answer.err
    assert states(tmp_path) == {"none-s0": "finished", "svd-r8-s0": "failed"}
    assert train(*tiny, *TWO, cwd=tmp_path).code == 0
    assert finished_at(tmp_path).items() > before.items()
    assert not list(tmp_path.glob("runs/**/*.tmp")) + list(tmp_path.glob("runs/*/.*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for one run and a half."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_full_costs_the_runs_that_find_no_room(
    train: Any, tiny: list[str], tmp_path: Path, small_disk: Path
) -> None:
    words = [*tiny, "factorization=svd", "rank=8", "seed=0,1,2", "baseline=false", "-m"]
    answer = train(*words, f"output_dir={small_disk}", cwd=tmp_path)
    assert answer.code == 1
    assert "the disk is full" in answer.err
    found = [read(path.parent) for path in small_disk.glob("*/record.json")]
    assert "finished" in {record.status for record in found}
    kept = {path.parent.name: path.read_bytes() for path in small_disk.glob("*/record.json")}
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    answer = train(*words, f"output_dir={small_disk}", cwd=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    now = {path.parent.name: path.read_bytes() for path in small_disk.glob("*/record.json")}
    assert len(now) == 3
    done = {record.name for record in found if record.status == "finished"}
    assert {name: now[name] for name in done} == {name: kept[name] for name in done}


def test_a_folder_that_may_not_be_written_to_is_refused(train: Any, tiny: list[str], tmp_path: Path) -> None:
    if os.getuid():
        pytest.skip("only root can become somebody else")
    (tmp_path / "runs").mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    words = [*tiny, "factorization=none", f"output_dir={tmp_path}/runs"]
    # Whatever is imported on the way is there now, also for somebody who may not read the files of this interpreter.
    assert train(*words, "plan=true", cwd=tmp_path).code == 0
    assert train(*words, "rank=0", cwd=tmp_path).code == 2
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(writer, 2)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        code = 99 if os.access(CONF / "train.yaml", os.R_OK) else UNREADABLE
        with contextlib.suppress(BaseException):
            code = code if code == UNREADABLE else main(CONF, words)
        sys.stderr.flush()
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as file:
        said = file.read()
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == UNREADABLE:
        pytest.skip("the project lies in a folder that nobody else may read, so nobody else can run it")
    assert os.waitstatus_to_exitcode(status) == 2, said
    assert f"output_dir is not writable (found {tmp_path}/runs)" in said
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_record_that_was_cut_off_is_told_and_its_run_done_again(train: Any, tiny: list[str], tmp_path: Path) -> None:
    assert train(*tiny, *TWO, cwd=tmp_path).code == 0
    before = finished_at(tmp_path)
    (record,) = tmp_path.glob("runs/*-svd-*/record.json")
    predictions = (record.parent / "predictions.parquet").read_bytes()
    record.write_bytes(record.read_bytes()[:-200])
    answer = train(*tiny, *TWO, cwd=tmp_path)
    assert answer.code == 0
    assert f"{record.parent.name} is repeated: " in answer.out
    assert "not JSON" in answer.out
    now = finished_at(tmp_path)
    assert {name for name in now if now[name] != before[name]} == {record.parent.name}
    assert (record.parent / "predictions.parquet").read_bytes() == predictions


def test_a_damaged_cache_is_told_and_made_again(
    train: Any, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBFACT_CACHE_DIR", str(tmp_path / "cache"))
    assert train(*tiny, "factorization=none", "output_dir=first", cwd=tmp_path).code == 0
    for file in (tmp_path / "cache" / "tokens").iterdir():
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)
    answer = train(*tiny, "factorization=none", "output_dir=second", cwd=tmp_path)
    assert answer.code == 0
    assert "is damaged; the texts are tokenised again" in answer.err
    first, second = (next(tmp_path.glob(f"{name}/*/predictions.parquet")).read_bytes() for name in ("first", "second"))
    assert first == second


@contextlib.contextmanager
def service(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on loopback that treats every connection in its own way; gives its port."""
    server = socket.create_server(("127.0.0.1", 0))
    open_ones: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                open_ones.append(connection)
                answer(connection)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        for connection in [server, *open_ones]:
            connection.close()


def hang(connection: socket.socket) -> None:
    """Take the connection, and never say a word."""


def refuse(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.close()


@pytest.fixture
def _fresh_wandb() -> Iterator[None]:
    """W&B keeps what it has read from the environment for the rest of the process, unless it is torn down."""
    import wandb

    wandb.teardown()
    yield
    wandb.teardown()


@pytest.mark.usefixtures("_fresh_wandb")
@pytest.mark.parametrize("behaviour", [hang, refuse])
def test_a_service_that_hangs_or_refuses_is_told_and_the_run_goes_on(
    behaviour: Callable[[socket.socket], None],
    train: Any,
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with service(behaviour) as port:
        monkeypatch.setenv("WANDB_MODE", "online")
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_INIT_TIMEOUT", "3")
        answer = train(*tiny, "factorization=none", "logger=wandb", "output_dir=runs", cwd=tmp_path)
    assert answer.code == 0
    assert "Weights & Biases did not start; the run continues without it" in answer.err
    assert states(tmp_path) == {"none-s0": "finished"}


def test_a_run_whose_scores_are_not_finite_has_the_sizes_that_it_saved(
    train: Any, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predicts(model: Any, rows: Any, **_: Any) -> Any:
        return np.full((len(rows), 2), np.nan, np.float32)

    words = [*tiny, "factorization=svd", "budget=0.05", "storage=int8", "trainer.batch_size=8", "output_dir=runs"]
    with monkeypatch.context() as patch:
        patch.setattr(score, "predict", predicts)
        assert train(*words, cwd=tmp_path).code == 1
    (directory,) = [path.parent for path in tmp_path.glob("runs/*/record.json")]
    diverged = read(directory)
    assert train(*words, "force=true", cwd=tmp_path).code == 0
    finished = read(directory)
    assert (diverged.status, finished.status) == ("diverged", "finished")
    assert (diverged.size, diverged.method) == (finished.size, finished.method)


@pytest.fixture
def six(conf: Path, tiny: list[str], tmp_path: Path) -> list[Any]:
    """Six runs: three in order, one that raises, one that diverges, one of a file that is broken."""
    rows = [f"{'good' if number % 2 else 'bad'} word {number},{number % 2}" for number in range(200)]
    for name, lines in {"train": rows, "valid": rows[:64], "broken": [*rows[:20], ',"1', *rows[20:]]}.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    common = [*[word for word in tiny if word != "data=vader"], "data=files", "data.metrics=[accuracy]"]
    files = [f"data.validation_file={tmp_path}/valid.csv", f"output_dir={tmp_path}/runs", "baseline=false"]
    each = ["factorization=none", "factorization=svd", "factorization=none seed=1"]
    each += ["factorization=random", "factorization=svd optimizer.lr=1e30", "factorization=svd seed=2"]
    configs = []
    for number, words in enumerate(each):
        source = f"data.train_file={tmp_path}/{'broken' if number == 5 else 'train'}.csv"
        steps = ["trainer.batch_size=8", "rank=8"]
        configs += read_request(conf, [*common, *files, source, *steps, *words.split()], False).configs
    return configs


def test_three_runs_that_end_badly_cost_only_themselves(
    six: list[Any], conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*args: Any, **options: Any) -> None:
        raise RuntimeError("made to fail")

    with monkeypatch.context() as patch:
        patch.setattr(Random, "fit", fails)
        assert run_request(RunRequest(tuple(six), multirun=True), conf) == 1
    printed = capsys.readouterr()
    told = printed.err.splitlines()
    assert [line.split(":")[0] for line in told if not line.startswith(" ")] == ["2 runs failed", "diverged"]
    assert len([line for line in told if "traceback in" in line]) == 3
    for reason in ("made to fail", "broken.csv, line 22", "the loss became"):
        assert (printed.out + printed.err).count(reason) == 1, "told once"
    before = finished_at(tmp_path)
    assert len(before) == 3
    by_state = {(s := read_status(path)).state + s.name.split("-")[3]: s for path in tmp_path.glob("runs/*/")}
    assert "made to fail" in str(by_state["failedrandom"].message)
    assert "became" in str(by_state["divergedsvd"].message)
    assert "at step" in str(by_state["divergedsvd"].message)
    assert "broken.csv, line 22" in str(by_state["failedsvd"].message)
    # The same command does the failed ones again, and passes over the one that would diverge again.
    assert runs(["retry", str(tmp_path / "runs")]) == 1
    now = finished_at(tmp_path)
    assert now.items() > before.items()
    assert len(now) == 4
    attempts = {path.name: read_status(path).attempt for path in tmp_path.glob("runs/*/")}  # type: ignore[union-attr]
    assert [attempts[name] for name in before] == [1, 1, 1]


def test_fail_fast_stops_at_the_first_that_fails(
    train: Any, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **options: Any) -> None:
        raise RuntimeError("made to fail")

    monkeypatch.setattr(Random, "fit", fails)
    words = ["factorization=random,svd", "rank=8", "baseline=false", "fail_fast=true", "output_dir=runs", "-m"]
    answer = train(*tiny, *words, cwd=tmp_path)
    assert answer.code == 1
    assert states(tmp_path) == {"random-r8-s0": "failed", "svd-r8-s0": "pending"}
    assert "the sweep stopped before it (fail_fast=true)" in answer.err
