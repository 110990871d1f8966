"""A sweep on disk: its records as a table, and the state of every run."""

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
    """The current runs.

    Attributes:
        places: The directories and URLs that were searched.
        table: The runs with a record.
        states: All runs on this machine, including those without a record.
    """

    places: tuple[str, ...]
    table: ResultTable
    states: tuple[RunState, ...]


def check_places(places: Sequence[str]) -> None:
    """Refuse places that are neither directories nor URLs.

    Raises:
        UserError: With all of them.
    """
    wrong = [place for place in places if not is_url(place) and not Path(place).is_dir()]
    if wrong:
        word = "is not a directory" if len(wrong) == 1 else "are not directories"
        raise UserError(f"{', '.join(wrong)} {word}; give the output directory of a run or a sweep")


def read_states(places: Sequence[str]) -> tuple[RunState, ...]:
    """The state of every run below the directories; URLs have no states."""
    return tuple(survey([place for place in places if not is_url(place)]))


def read_sweep(places: Sequence[str], *, may_be_empty: bool = False) -> Sweep:
    """Read the runs below directories at any depth, or at URLs of published runs.

    Raises:
        UserError: If there is no readable record, unless the sweep `may_be_empty`.
    """
    check_places(places)
    # States first: a run that ends in between then has its record.
    states = read_states(places)
    found = find_records(places)
    if not found.records and not may_be_empty:
        unread = "".join(f"\n{problem}" for problem in found.problems)
        raise UserError(
            f"no readable run records below {', '.join(places)}; run train.py first, give another directory, "
            f"or watch a sweep that has just started with --watch{unread}"
        )
    return Sweep(tuple(places), build_table(found), states)
