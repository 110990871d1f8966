"""Find the records below directories or URLs.

Light to import: no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from embfact.errors import ModelError
from embfact.runs.record import FILE_NAME, RunRecord, read
from embfact.system.remote import is_url


@dataclass(frozen=True)
class Collected:
    """The records that were found.

    Attributes:
        records: One record per hash, sorted by name.
        problems: Records that could not be read, and runs found more than once.
        places: Hash -> run directory, which holds the predictions and the learning curve; local runs only.
    """

    records: tuple[RunRecord, ...]
    problems: tuple[str, ...] = ()
    places: Mapping[str, Path] = field(default_factory=dict)


def find_records(paths: Iterable[Path | str]) -> Collected:
    """All records below the given directories, at any depth.

    A record that cannot be read is reported as a problem. Of several records with the same hash (a copied directory, or
    a failed and a finished attempt), a finished one is preferred, then the newest. Hidden folders are skipped: their
    content is being written or deleted.

    Args:
        paths: Directories of runs or of experiments, or URLs that fsspec supports; they may overlap.

    Raises:
        RemoteError: If a URL cannot be read.
    """
    paths = list(paths)
    local, problems = _on_disk([Path(path) for path in paths if not is_url(path)])
    found = [record for record, _ in local]
    for url in dict.fromkeys(str(path) for path in paths if is_url(path)):
        from embfact.runs.publish import records_below

        more, unread = records_below(url)
        found, problems = [*found, *more], [*problems, *unread]
    records, repeated = deduplicate(found)
    places = {record.hash: place for record, place in local if records[record.hash] is record}
    ordered = sorted(records.values(), key=lambda record: record.name)
    return Collected(tuple(ordered), tuple(dict.fromkeys([*problems, *repeated])), places)


def deduplicate(found: Iterable[RunRecord]) -> tuple[dict[str, RunRecord], list[str]]:
    """One record per hash, preferably finished, then the newest; and a message for each run found more than once."""
    records: dict[str, RunRecord] = {}
    problems = []
    for record in found:
        other = records.setdefault(record.hash, record)
        if other is not record:
            if other.status == record.status == "finished":
                problems.append(f"{record.name} was found more than once; the newest copy is used")
            records[record.hash] = max(other, record, key=lambda one: (one.status == "finished", one.started))
    return records, list(dict.fromkeys(problems))


def _on_disk(paths: Iterable[Path]) -> tuple[list[tuple[RunRecord, Path]], list[str]]:
    """All records below directories with their run directories, and messages for those that cannot be read."""
    files = {
        file.resolve(): file
        for path in paths
        for file in path.rglob(FILE_NAME)
        if not any(part.startswith(".") for part in file.relative_to(path).parts)
    }
    records, problems = [], []
    for file, named in sorted(files.items()):
        try:
            records.append((read(named.parent), file.parent))  # messages name it as the user did
        except ModelError as error:
            problems.append(str(error))
    return records, problems
