"""Finished runs at a URL: copied there whole, and found there by other machines.

The record goes last. Where it is, all else is; a directory without it is no run, whatever else it holds.
Light to import: fsspec comes with the first URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from embfact.errors import ModelError
from embfact.runs.record import FILE_NAME, RunRecord, parse
from embfact.system.atomic import write_text
from embfact.system.remote import opened

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

AGAIN = "publish the run again"  # the remedy for a record that is not whole
# What belongs to the process that did the run, and what W&B keeps for itself.
_OURS = {"resume", "wandb", "status.json", FILE_NAME}


def publish(directory: Path, url: str, name: str) -> None:
    """Copy a finished run to ``<url>/<name>/``, its record last; what is there already is not copied again.

    Args:
        directory: The run directory.
        url: Any URL that fsspec knows.
        name: The run's name.

    Raises:
        RemoteError: In words, if that is not possible; no record is there then, and the next call begins anew.
        OSError: If the run directory cannot be read.
    """
    files = _files(directory)
    content = (directory / FILE_NAME).read_bytes()
    with opened(url) as (system, root):
        target, record = f"{root}/{name}", f"{root}/{name}/{FILE_NAME}"
        system.invalidate_cache()
        if system.exists(record):
            if system.cat_file(record) == content:
                return
            # Another result of the same run, of force=true: while files are replaced there is none.
            system.rm_file(record)
        for folder in dict.fromkeys(path.parent for path in [Path(FILE_NAME), *files]):
            system.makedirs(f"{target}/{folder.as_posix()}".removesuffix("/."), exist_ok=True)
        for path in files:
            system.put_file(str(directory / path), f"{target}/{path.as_posix()}")
        _write(system, record, content)


def published_records(url: str, hashes: Mapping[str, str]) -> dict[str, RunRecord]:
    """The finished ones among some runs that are at a URL, so that no other machine does them again.

    Args:
        url: Where runs are published.
        hashes: The hash of each run, by its name.

    Returns:
        Their records, by name. The folder is listed once, and records are read together.

    Raises:
        RemoteError: If the URL cannot be read.
    """
    with opened(url) as (system, root):
        system.invalidate_cache()
        try:
            there = {PurePosixPath(path).name for path in system.ls(root, detail=False)}
        except FileNotFoundError:
            return {}
        places = {f"{root}/{name}/{FILE_NAME}": name for name in hashes if name in there}
        found = {}
        for place, content in _contents(system, places).items():
            try:
                record = parse(content, place, AGAIN)
            except ModelError:  # half a record is none
                continue
            if record.status == "finished" and record.hash == hashes[places[place]]:
                found[places[place]] = record
    return found


def records_below(url: str) -> tuple[list[RunRecord], list[str]]:
    """Every record below a URL at any depth, and in words those that cannot be read.

    Raises:
        RemoteError: If the URL cannot be read.
    """
    records, problems = [], []
    with opened(url) as (system, root):
        system.invalidate_cache()
        places = [path for path in system.find(root) if PurePosixPath(path).name == FILE_NAME]
        for place, content in sorted(_contents(system, places).items()):
            try:
                records.append(parse(content, str(system.unstrip_protocol(place)), AGAIN))
            except ModelError as error:
                problems.append(str(error))
    return records, problems


def _files(directory: Path) -> list[Path]:
    """What is copied before the record, relative to the run directory."""
    paths = [path.relative_to(directory) for path in sorted(directory.rglob("*")) if path.is_file()]
    return [
        path
        for path in paths
        if path.parts[0] not in _OURS
        and path.suffix not in (".tmp", ".lock")
        and not any(part.startswith(".") for part in path.parts)
    ]


def _write(system: AbstractFileSystem, place: str, content: bytes) -> None:
    """Write a record so that nobody reads half of it; stores of objects do that by themselves."""
    from fsspec.implementations.local import LocalFileSystem

    if isinstance(system, LocalFileSystem):
        write_text(Path(place), content.decode())
    else:
        system.pipe_file(place, content)


def _contents(system: AbstractFileSystem, places: Iterable[str]) -> dict[str, bytes]:
    """The content of files, at once where the service can; one that vanished meanwhile is left out.

    Raises:
        Exception: Whatever else the service answers.
    """
    places = list(places)
    found = system.cat(places, on_error="return") if places else {}
    for content in found.values():
        if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
            raise content
    return {place: content for place, content in found.items() if isinstance(content, bytes)}
