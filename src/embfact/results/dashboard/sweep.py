"""What is on disk of a sweep: its records as a table, and the state of every run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from embfact.errors import UserError
from embfact.results.collect import find_records
from embfact.results.result_table import ResultTable, build_table
from embfact.runs.survey import RunState, survey
from embfact.system.remote import is_url


@dataclass(frozen=True)
class Sweep:
    """Runs as they stand.

    Attributes:
        places: Where they were looked for.
        table: Those that have a record.
        states: Every run on this machine, those without a record included.
    """

    places: tuple[str, ...]
    table: ResultTable
    states: tuple[RunState, ...]


def check_places(places: Sequence[str]) -> None:
    """Refuse what is no directory, all at once.

    Raises:
        UserError: If one of them is neither a directory nor a URL.
    """
    wrong = [place for place in places if not is_url(place) and not Path(place).is_dir()]
    if wrong:
        word = "is not a directory" if len(wrong) == 1 else "are not directories"
        raise UserError(f"{', '.join(wrong)} {word}; give the output directory of a run or a sweep")


def read_states(places: Sequence[str]) -> tuple[RunState, ...]:
    """The state of every run below the directories; nothing is known of the states at a URL."""
    return tuple(survey([place for place in places if not is_url(place)]))


def read_sweep(places: Sequence[str], *, may_be_empty: bool = False) -> Sweep:
    """Read the runs below some directories.

    Args:
        places: Directories at any depth, or URLs of published runs.
        may_be_empty: Whether a sweep without any record yet is taken.

    Raises:
        UserError: If there is no record that can be read.
    """
    check_places(places)
    # States first: a run that ends between the two readings has its record, and is not lost.
    states = read_states(places)
    found = find_records(places)
    if not found.records and not may_be_empty:
        unread = "".join(f"\n{problem}" for problem in found.problems)
        raise UserError(
            f"no readable run records below {', '.join(places)}; run train.py first, give another directory, "
            f"or follow a sweep that has just begun with --watch{unread}"
        )
    return Sweep(tuple(places), build_table(found), states)
