"""A table as it is printed: headings, lines of cells, and notes; what every format is made from.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, Literal

from embfact.results.result_table import Column

Kind = Literal["words", "count", "size", "figure"]


@dataclass(frozen=True)
class Heading:
    """What stands above a column of the printed table.

    Attributes:
        words: From the top; a format may set equal neighbours once.
        marks: Letters of the notes that are about it.
    """

    words: tuple[str, ...]
    kind: Kind
    marks: str = ""

    @property
    def text(self) -> str:
        """All of its words."""
        return " ".join(self.words)


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, in the parts that are aligned.

    Attributes:
        main: The words, or the rounded figure.
        rest: What stands behind a figure: its deviation, its interval, its share of dense.
        count: In front of a figure, ``(n=2)`` where it rests on fewer seeds than others.
        sign: ``†`` or ``*``: worse or better than what it is compared with.
        marks: Letters of the notes that are about it.
        raw: The numbers, unrounded.
    """

    main: str = ""
    rest: str = ""
    count: str = ""
    bold: bool = False
    sign: str = ""
    marks: str = ""
    raw: Mapping[str, Any] = dataclass_field(default_factory=dict)


@dataclass(frozen=True)
class Note:
    """A sentence under the table, with the letter by which cells refer to it; no letter: it is about all of them."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Grid:
    """A table as it is printed.

    Attributes:
        headings: One a column.
        lines: Cells, one a heading.
        notes: What stands under it; the first is the legend.
        starts: Numbers of the lines before which a rule is drawn.
    """

    headings: tuple[Heading, ...]
    lines: tuple[tuple[Cell, ...], ...]
    notes: tuple[Note, ...]
    starts: frozenset[int] = frozenset()
    caption: str = ""
    label: str = ""

    @property
    def header(self) -> list[list[tuple[str, int, int]]]:
        """The rows of headings: words, and from which to which column they stand; short headings stand at the bottom.

        Equal neighbours above the lowest row are one; columns without words above their lowest stay apart.
        """
        levels = max(len(heading.words) for heading in self.headings)
        padded = [("",) * (levels - len(heading.words)) + heading.words for heading in self.headings]
        rows: list[list[tuple[str, int, int]]] = []
        for level in range(levels):
            rows.append([])
            for place, words in enumerate(padded):
                alike = (
                    place
                    and level < levels - 1
                    and words[level]
                    and words[: level + 1] == padded[place - 1][: level + 1]
                )
                start = rows[-1].pop()[1] if alike else place
                rows[-1].append((words[level], start, place))
        return rows


@dataclass(frozen=True)
class Place:
    """A line, or a column of figures: which rows and figures of the table may stand there.

    Attributes:
        words: Its fields' values, or its heading.
        rows: Indexes in `Table.rows`.
    """

    words: tuple[str, ...]
    rows: frozenset[int]
    columns: frozenset[Column]


@dataclass(frozen=True)
class SizeColumn:
    """A column that holds a size of each line, or the mean of its figures.

    Attributes:
        field: One of `SIZE_FIELDS`; ``glue`` for the mean over GLUE's tasks, empty for that over all of `tasks`.
        tasks: Data set -> the figures of it that the mean is taken over.
    """

    words: tuple[str, ...]
    field: str = ""
    tasks: Mapping[str, frozenset[Column]] = dataclass_field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """Where everything stands. In a cell at most one row meets one figure: nothing is averaged but seeds.

    Attributes:
        fields: Headings of the words in front of each line.
        blank: What stands in a cell without runs.
        across: Whether the methods are told apart by columns; their best is then sought along the line.
    """

    fields: tuple[Heading, ...]
    lines: tuple[Place, ...]
    columns: tuple[Place | SizeColumn, ...]
    blank: str = ""
    across: bool = False
