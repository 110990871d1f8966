"""Run directories as runs leave them, made without a run; and processes that hold locks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import embfact
from embfact.runs.identity import Identity
from embfact.runs.status import Status, write_status
from tests.helpers.records import make_values

NAME = "sst2-minilm-svd-r64-s0-"


def identity_in(directory: Path) -> Identity:
    """The identity of a run that is trained in a directory without a plan."""
    return Identity("0" * 64, "a run", directory, "", "", {})


def write_record(directory: Path, status: str = "finished", message: str = "out of memory", **options: Any) -> Path:
    """Write a whole record of a run that finished, failed or diverged."""
    values = make_values(error=None if status == "finished" else message, **options) | {"status": status}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "record.json").write_text(json.dumps(values, indent=2))
    return directory


def write_state(directory: Path, state: str, **changes: Any) -> Path:
    """Write the status of a run in this state."""
    values = {"name": directory.name, "hash": "ab" * 32, "state": state, "attempt": 1, **changes}
    write_status(Status.model_validate(values), directory)
    return directory


@contextmanager
def held_elsewhere(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds a lock for the block; it is killed afterwards, without a chance to let go of it."""
    code = (
        "import sys, time, pathlib; from embfact.system.lock import acquire\n"
        "lock = acquire(pathlib.Path(sys.argv[1])); print('held' if lock else 'busy', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(embfact.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()
