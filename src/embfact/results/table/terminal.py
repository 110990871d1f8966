"""A table for a terminal: what fits its width, the most important columns first.

Light to import: the standard library only.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from textwrap import wrap

from embfact.results.table.fields import SHARES
from embfact.results.table.grid import Cell, Grid
from embfact.results.table.markdown import notes_of, table_of

# Left out in this order until the rest fits; what remains is what a reader compares methods by.
OPTIONAL = ("seconds", "model_bytes", "model_params")
LEAST_WORDS = 8  # columns of a description, however narrow the terminal


def terminal_width() -> int | None:
    """Columns of the terminal, or of ``COLUMNS`` if that is set; None for a file or a pipe, which take any width."""
    asked = os.environ.get("COLUMNS", "")
    if (asked.isdecimal() and int(asked)) or sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    return None


def fits(grid: Grid, width: int) -> bool:
    """Whether every line of a table, without its notes, has at most `width` columns."""
    return _width(grid) <= width


def without_data_set(grid: Grid) -> Grid:
    """The table without the name of its only data set in the headings; it is named in the notes."""
    figures = [heading for heading in grid.headings if heading.kind == "figure"]
    if len({heading.words[0] for heading in figures}) != 1 or any(len(heading.words) < 2 for heading in figures):
        return grid
    shorter = (replace(one, words=one.words[1:]) if one.kind == "figure" else one for one in grid.headings)
    return replace(grid, headings=tuple(shorter))


def narrow(grid: Grid, width: int) -> str:
    """The table as Markdown in lines of at most `width` columns, notes included.

    Shares of dense make room first. If the figures still do not fit beside each other, they are printed in several
    tables, and long descriptions on several lines.
    """
    if not fits(grid, width):
        grid = _without_shares(grid)
    parts = ["\n".join(table_of(part)) for part in _side_by_side(grid, width)]
    return "\n\n".join([*parts, "\n".join(notes_of(grid.notes, width))]) + "\n"


def _without_shares(grid: Grid) -> Grid:
    lines = [
        tuple(
            replace(cell, rest="") if heading.kind == "size" else cell
            for heading, cell in zip(grid.headings, line, strict=True)
        )
        for line in grid.lines
    ]
    notes = [replace(note, text=note.text.replace(SHARES, "")) for note in grid.notes]
    return replace(grid, lines=tuple(lines), notes=tuple(notes))


def _columns(grid: Grid, places: Sequence[int]) -> Grid:
    lines = tuple(tuple(line[place] for place in places) for line in grid.lines)
    return replace(grid, headings=tuple(grid.headings[place] for place in places), lines=lines)


def _width(grid: Grid) -> int:
    return max(map(len, table_of(grid)))


def _side_by_side(grid: Grid, width: int) -> Iterator[Grid]:
    """The table in parts that fit: each has the words and the rank of every line, the first one also the sizes."""
    lead = [place for place, heading in enumerate(grid.headings) if heading.kind in ("words", "count")]
    rest = [place for place in range(len(grid.headings)) if place not in lead]
    while True:
        taken = len(rest)
        while taken > 1 and _width(_columns(grid, [*lead, *rest[:taken]])) > width:
            taken -= 1
        yield _wrapped(_columns(grid, sorted([*lead, *rest[:taken]])), width)
        rest = rest[taken:]
        if not rest:
            return


def _wrapped(grid: Grid, width: int) -> Grid:
    """The table with its longest words continued on further lines, if it is still too wide."""
    over = _width(grid) - width
    words = [place for place, heading in enumerate(grid.headings) if heading.kind == "words"]
    rooms = {place: max(len(line[place].main) for line in grid.lines) for place in words}
    for place in sorted(words, key=lambda place: -rooms[place]):
        room = max(LEAST_WORDS, len(grid.headings[place].text), rooms[place] - max(0, over))
        over -= max(0, rooms[place] - room)
        rooms[place] = min(rooms[place], room)
    lines = []
    for line in grid.lines:
        parts = {place: wrap(line[place].main, max(1, room)) for place, room in rooms.items()}
        lines.append(
            tuple(replace(cell, main=parts[place][0]) if parts.get(place) else cell for place, cell in enumerate(line))
        )
        for more in zip_longest(*(parts[place][1:] for place in words), fillvalue=""):
            further = dict(zip(words, map(Cell, more), strict=True))
            lines.append(tuple(further.get(place, Cell()) for place in range(len(line))))
    return replace(grid, lines=tuple(lines))
