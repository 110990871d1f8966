"""Finding the records below some directories.

Light to import: no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from embfact.errors import ModelError
from embfact.records.record import FILE_NAME, RunRecord, read


@dataclass(frozen=True)
class Collected:
    """Records, and what stood in the way of others.

    Attributes:
        records: One record a hash, in the order of their names.
        problems: In words: records that could not be read, and runs found more than once.
    """

    records: tuple[RunRecord, ...]
    problems: tuple[str, ...] = ()


def find_records(paths: Iterable[Path | str]) -> Collected:
    """Every record below the given directories, at any depth.

    A record that cannot be read becomes a problem in words. Of several records with one hash (a copied directory, a
    failed and a finished attempt) the finished one counts, and of those the newest.

    Args:
        paths: Directories of runs, of experiments, or of many experiments; they may overlap.

    Returns:
        The records and the problems.
    """
    files = sorted({file.resolve() for path in paths for file in Path(path).rglob(FILE_NAME)})
    records: dict[str, RunRecord] = {}
    problems = []
    for file in files:
        try:
            record = read(file.parent)
        except ModelError as error:
            problems.append(str(error))
            continue
        other = records.setdefault(record.hash, record)
        if other is not record:
            if other.status == record.status == "finished":
                problems.append(f"{record.name} was found more than once and counts once; the newest is shown")
            records[record.hash] = max(other, record, key=lambda one: (one.status == "finished", one.started))
    return Collected(tuple(sorted(records.values(), key=lambda record: record.name)), tuple(dict.fromkeys(problems)))
