"""A table as printed, independent of the format: headings, lines of cells, and notes.

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
    """The heading of a column.

    Attributes:
        words: From the top; a format may merge equal neighbours.
        marks: Letters of the notes about the column.
    """

    words: tuple[str, ...]
    kind: Kind
    marks: str = ""

    @property
    def text(self) -> str:
        """All words of the heading."""
        return " ".join(self.words)


@dataclass(frozen=True)
class Cell:
    """The content of a cell, in the parts that are aligned.

    Attributes:
        main: The words, or the rounded figure.
        rest: Follows a figure: deviation, interval or share of dense.
        count: Precedes a figure: ``(n=2)`` if it has fewer seeds than others.
        sign: ``†`` or ``*``: significantly worse or better than the reference.
        marks: Letters of the notes about the cell.
        raw: The unrounded numbers.
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
    """A sentence below the table, and the letter by which cells refer to it; without one it applies to all cells."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Grid:
    """A table as printed.

    Attributes:
        headings: One per column.
        lines: One cell per heading.
        notes: Text below the table; the first note is the legend.
        starts: Indices of the lines that start after a rule.
    """

    headings: tuple[Heading, ...]
    lines: tuple[tuple[Cell, ...], ...]
    notes: tuple[Note, ...]
    starts: frozenset[int] = frozenset()
    caption: str = ""
    label: str = ""

    @property
    def header(self) -> list[list[tuple[str, int, int]]]:
        """The rows of headings as (word, first column, last column); short headings are aligned at the bottom.

        Equal neighbours above the lowest row are merged, unless they are empty.
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
    """A line or a column of the plan, with the rows and figures of the table that belong there.

    Attributes:
        words: The values of its fields, or its heading.
        rows: Indices in `ResultTable.rows`.
    """

    words: tuple[str, ...]
    rows: frozenset[int]
    columns: frozenset[Column]


@dataclass(frozen=True)
class SizeColumn:
    """A column with a size of each line, or a mean of its figures.

    Attributes:
        field: One of `SIZE_FIELDS`; ``glue`` for the mean over GLUE tasks, empty for the mean over all `tasks`.
        tasks: Data set -> its figures in the mean.
    """

    words: tuple[str, ...]
    field: str = ""
    tasks: Mapping[str, frozenset[Column]] = dataclass_field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The layout of a table. A cell has at most one row and one figure: only seeds are averaged.

    Attributes:
        fields: Headings of the leading words of each line.
        blank: Text of a cell without runs.
        across: Whether methods are columns, so that the best is sought along each line.
    """

    fields: tuple[Heading, ...]
    lines: tuple[Place, ...]
    columns: tuple[Place | SizeColumn, ...]
    blank: str = ""
    across: bool = False
