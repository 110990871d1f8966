"""A stand-in for trackio: the signatures of its version 0.43, and its chatter; what it is told is a line of a file.

Its folder is put on the path of a test. The file is ``PROJECT.jsonl`` in TRACKIO_DIR.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Table:
    def __init__(self, columns: list[str] | None = None, data: list[list[Any]] | None = None) -> None:
        self.value = [dict(zip(columns or [], row, strict=True)) for row in data or []]


class Image:
    def __init__(self, value: str, caption: str | None = None) -> None:
        self.value = {"bytes": Path(value).stat().st_size, "caption": caption}


class Run:
    def __init__(self, project: str, about: dict[str, Any]) -> None:
        self.name = about["name"]
        self._file = Path(os.environ["TRACKIO_DIR"], f"{project}.jsonl")
        self._write("init", about)

    def log(self, metrics: dict[str, Any], step: int | None = None) -> None:
        if os.environ.get("TRACKIO_BROKEN"):
            raise ConnectionError("no database")
        plain = {name: one.value if isinstance(one, Table | Image) else one for name, one in metrics.items()}
        self._write("log", {"metrics": plain, "step": step})

    def finish(self) -> None:
        print("* Run finished. Uploading logs to Trackio (please wait...)")
        self._write("finish", {})

    def _write(self, call: str, told: dict[str, Any]) -> None:
        with self._file.open("a") as file:
            file.write(json.dumps({"run": self.name, "call": call, **told}) + "\n")


def init(
    project: str,
    name: str | None = None,
    group: str | None = None,
    config: dict[str, Any] | None = None,
    resume: str = "never",
    embed: bool = True,
    auto_log_gpu: bool | None = None,
) -> Run:
    print(f"* Trackio project initialized: {project}\n* Created new run: {name}")
    reserved = [key for key in config or {} if key.startswith("_")]
    if reserved:
        raise ValueError(f"Config key '{reserved[0]}' is reserved")
    return Run(project, {"name": name, "group": group, "config": config, "resume": resume})
