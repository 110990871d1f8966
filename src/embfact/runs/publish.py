"""Finished runs at ``output_url``: copied there as they finish, and found there by other machines.

The record is copied last: if it is there, so is everything else; a directory without one is not a run.
Light to import: fsspec is imported with the first URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from embfact.config.run_config import RunConfig
from embfact.errors import ModelError, UserError
from embfact.runs.identity import Identity
from embfact.runs.planned import PlannedRun
from embfact.runs.record import FILE_NAME, RunRecord, parse
from embfact.runs.status import read_status, write_status
from embfact.system.atomic import write_text
from embfact.system.remote import opened

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

AGAIN = "publish the run again"  # the remedy for a damaged record
# What belongs to the process that trained the run or to W&B, and the record, which is copied last.
_OURS = {"resume", "wandb", "status.json", FILE_NAME}


def send(config: RunConfig, identity: Identity) -> str:
    """Copy a finished run to its URL, unless it is known to be there.

    Returns:
        Why that failed; empty if it is there, or has no URL.
    """
    url, status = config.output_url, read_status(identity.directory)
    if url is None or (status and status.published == url and not config.force):
        return ""
    try:
        publish(identity.directory, url, identity.name)
        if status:
            write_status(status.now(published=url), identity.directory)
    except (UserError, OSError) as error:
        return f"finished, but not copied to {url}: {error}; rerun the same command to retry"
    return ""


def with_published(plan: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Mark the runs of a plan that are finished at their URL, with the weights asked for: they need not run here.

    Raises:
        RemoteError: If a URL cannot be read.
    """
    found: dict[str, RunRecord] = {}
    for url in {run.config.output_url for run in plan if run.config.output_url and not run.config.force}:
        asked = [run for run in plan if run.pending and run.config.output_url == url]
        records = published_records(url, {run.title: run.identity.hash for run in asked if run.identity})
        found |= {run.key: records[run.title] for run in asked if run.title in records}
    return [
        replace(run, record=record, elsewhere=True)
        if (record := found.get(run.key))
        and (run.config.checkpoint == "none" or record.config.get("checkpoint") != "none")
        else run
        for run in plan
    ]


def publish(directory: Path, url: str, name: str) -> None:
    """Copy a run directory to ``<url>/<name>/``, its record last; a run that is there already is not copied again.

    Raises:
        RemoteError: If that fails; no record is there then, and the next call starts over.
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
            # An older result of the same run (force=true): it is removed before its files are replaced.
            system.rm_file(record)
        for folder in dict.fromkeys(path.parent for path in [Path(FILE_NAME), *files]):
            system.makedirs(f"{target}/{folder.as_posix()}".removesuffix("/."), exist_ok=True)
        for path in files:
            system.put_file(str(directory / path), f"{target}/{path.as_posix()}")
        _write(system, record, content)


def published_records(url: str, hashes: Mapping[str, str]) -> dict[str, RunRecord]:
    """The records, by name, of those runs that are finished at a URL, so that no other machine repeats them.

    `hashes` has the hash of each run by its name. The folder is listed once, and the records are read together.

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
            except ModelError:  # a damaged record does not count
                continue
            if record.status == "finished" and record.hash == hashes[places[place]]:
                found[places[place]] = record
    return found


def records_below(url: str) -> tuple[list[RunRecord], list[str]]:
    """Every record below a URL, at any depth, and an error message for each that cannot be read.

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
    """The files to copy before the record, relative to the run directory."""
    paths = [path.relative_to(directory) for path in sorted(directory.rglob("*")) if path.is_file()]
    return [
        path
        for path in paths
        if path.parts[0] not in _OURS
        and path.suffix not in (".tmp", ".lock")
        and not any(part.startswith(".") for part in path.parts)
    ]


def _write(system: AbstractFileSystem, place: str, content: bytes) -> None:
    """Write a record atomically; object stores do so by themselves."""
    from fsspec.implementations.local import LocalFileSystem

    if isinstance(system, LocalFileSystem):
        write_text(Path(place), content.decode())
    else:
        system.pipe_file(place, content)


def _contents(system: AbstractFileSystem, places: Iterable[str]) -> dict[str, bytes]:
    """The content of files, read concurrently where the service can; a file that has vanished is left out.

    Raises:
        Exception: Any other error of the service.
    """
    places = list(places)
    found = system.cat(places, on_error="return") if places else {}
    for content in found.values():
        if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
            raise content
    return {place: content for place, content in found.items() if isinstance(content, bytes)}
