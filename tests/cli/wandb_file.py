"""What an offline W&B run holds, read from its ``.wandb`` file: a log in LevelDB's format of protocol buffers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK, HEADER = 32768, 7  # bytes
FULL, LAST = 1, 4  # kinds of a piece that end an entry


@dataclass
class Offline:
    """One offline run; `folder` has its ``.wandb`` file."""

    folder: Path
    id: str = ""
    name: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    tags: tuple[str, ...] = ()
    exit_code: int | None = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    axes: dict[str, str] = field(default_factory=dict)

    def media(self, name: str) -> bytes:
        """The file of a table or a picture."""
        return (self.folder / "files" / self.summary[f"{name}/path"]).read_bytes()

    def table(self, name: str) -> list[dict[str, Any]]:
        """The lines of a table."""
        content = json.loads(self.media(name))
        return [dict(zip(content["columns"], line, strict=True)) for line in content["data"]]

    def chart(self, name: str) -> dict[str, Any]:
        """The settings of a custom chart: the preset, the columns on its axes, and the table that they are of."""
        settings = self.config[f"_wandb/visualize/{name}"]["panel_config"]
        fields = settings["userQuery"]["queryFields"][0]["fields"]
        (table,) = [one["args"][0]["value"] for one in fields if one["name"] == "summaryTable"]
        return {"preset": settings["panelDefId"], "axes": settings["fieldSettings"], "table": table}

    def curve(self, name: str) -> list[tuple[int, float]]:
        """The points of a learning curve: step and value."""
        return [(line["trainer/global_step"], line[name]) for line in self.history if name in line]


def read_offline(path: Path) -> Offline:
    """Parse a ``.wandb`` file."""
    from wandb.proto.wandb_internal_pb2 import Record

    run = Offline(path.parent)
    for entry in _entries(path.read_bytes()):
        record = Record.FromString(entry)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            about = record.run
            run.id, run.name, run.project = about.run_id, about.display_name, about.project
            run.group, run.job_type, run.tags = about.run_group, about.job_type, tuple(about.tags)
            run.config |= _items(about.config.update)
        elif kind == "config":
            run.config |= _items(record.config.update)
        elif kind == "summary":
            run.summary |= _items(record.summary.update)
        elif kind == "history":
            run.history.append(_items(record.history.item))
        elif kind == "metric":
            run.axes[record.metric.glob_name or record.metric.name] = record.metric.step_metric
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _entries(content: bytes) -> Iterator[bytes]:
    assert content[:4] == b":W&B"
    place, parts = HEADER, b""
    while place + HEADER <= len(content):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        _, size, kind = struct.unpack_from("<IHB", content, place)
        parts += content[place + HEADER : place + HEADER + size]
        place += HEADER + size
        if kind in (FULL, LAST):
            yield parts
            parts = b""
