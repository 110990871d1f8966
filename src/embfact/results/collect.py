"""Finding the records below some directories, or URLs.

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
    """Records, and what stood in the way of others.

    Attributes:
        records: One record a hash, in the order of their names.
        problems: In words: records that could not be read, and runs found more than once.
        places: Hash -> run directory, where the predictions and the learning curve lie; not of runs at a URL.
    """

    records: tuple[RunRecord, ...]
    problems: tuple[str, ...] = ()
    places: Mapping[str, Path] = field(default_factory=dict)


def find_records(paths: Iterable[Path | str]) -> Collected:
    """Every record below the given directories, at any depth.

    A record that cannot be read becomes a problem in words. Of several records with one hash (a copied directory, a
    failed and a finished attempt) the finished one counts, and of those the newest. Hidden folders are passed over:
    what is in them is being written or deleted.

    Args:
        paths: Directories of runs, of experiments, or of many experiments; they may overlap. A URL that fsspec knows
            is one too.

    Returns:
        The records and the problems.

    Raises:
        RemoteError: If a URL cannot be read.
    """
    paths = list(paths)
    local, problems = _on_disk([Path(path) for path in paths if not is_url(path)])
    found = [record for record, _ in local]
    for url in dict.fromkeys(str(path) for path in paths if is_url(path)):
        from embfact.runs.publish import records_below

        more, told = records_below(url)
        found, problems = [*found, *more], [*problems, *told]
    records, repeated = one_each(found)
    places = {record.hash: place for record, place in local if records[record.hash] is record}
    ordered = sorted(records.values(), key=lambda record: record.name)
    return Collected(tuple(ordered), tuple(dict.fromkeys([*problems, *repeated])), places)


def one_each(found: Iterable[RunRecord]) -> tuple[dict[str, RunRecord], list[str]]:
    """One record a hash: the finished one, and of those the newest.

    Returns:
        The records by their hashes, and in words which runs were found more than once.
    """
    records: dict[str, RunRecord] = {}
    problems = []
    for record in found:
        other = records.setdefault(record.hash, record)
        if other is not record:
            if other.status == record.status == "finished":
                problems.append(f"{record.name} was found more than once and counts once; the newest is shown")
            records[record.hash] = max(other, record, key=lambda one: (one.status == "finished", one.started))
    return records, list(dict.fromkeys(problems))


def _on_disk(paths: Iterable[Path]) -> tuple[list[tuple[RunRecord, Path]], list[str]]:
    """Every record below some directories with its own, and in words those that cannot be read."""
    files = {
        file.resolve()
        for path in paths
        for file in path.rglob(FILE_NAME)
        if not any(part.startswith(".") for part in file.relative_to(path).parts)
    }
    records, problems = [], []
    for file in sorted(files):
        try:
            records.append((read(file.parent), file.parent))
        except ModelError as error:
            problems.append(str(error))
    return records, problems
