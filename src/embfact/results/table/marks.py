"""Marks of cells: best figures, significant differences, and letters that refer to notes.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from embfact.results.result_table import Column, DataVersion, ResultTable
from embfact.results.table.grid import Cell, Place
from embfact.results.table.notes import Remark, remarks

if TYPE_CHECKING:
    from embfact.results.statistics.table_statistics import TableStatistics

WORSE, BETTER = "†", "*"
ALPHA = 0.05
_ALPHABET = "abcdefghijklmnoprstuvwxyz"  # no q: it has no superscript


@dataclass(frozen=True)
class Letters:
    """The letters that refer to notes.

    Attributes:
        remarks: Letter and remark; the letter is empty if the remark is not about a shown cell.
        data: Letters of data sets that have several versions.
    """

    remarks: tuple[tuple[str, Remark], ...]
    data: Mapping[DataVersion, str]

    @classmethod
    def of(cls, table: ResultTable, shown: Collection[tuple[int, Column]]) -> Letters:
        """The letters of a table with some cells shown; remarks about other cells are omitted."""
        letters = _letters()
        versions = {column.data for _, column in shown}
        data = {version: next(letters) for version in table.data if version.difference and version in versions}
        by_cells: dict[frozenset[tuple[int, Column]], str] = {}
        kept = []
        for remark in remarks(table):
            about = remark.cells & frozenset(shown)
            if about:
                by_cells.setdefault(about, next(letters) if about not in by_cells else "")
            if about or not remark.cells:
                kept.append((by_cells.get(about, ""), replace(remark, cells=about)))
        return cls(tuple(kept), data)

    def of_cell(self, cell: tuple[int, Column]) -> str:
        """The letters of a cell, separated by commas."""
        return ",".join(dict.fromkeys(letter for letter, remark in self.remarks if cell in remark.cells))

    def of_place(self, place: Place) -> str:
        """The letter of a line or heading that belongs to one version of a data set."""
        versions = {column.data for column in place.columns}
        return self.data.get(versions.pop(), "") if len(versions) == 1 else ""


def _letters() -> Iterator[str]:
    length = 1
    while True:
        for letter in _ALPHABET:
            yield letter * length
        length += 1


def best(
    met: Mapping[tuple[int, int], tuple[int, Column]],
    lines: Sequence[Sequence[Cell]],
    table: ResultTable,
    across: bool,
    words: int,
) -> Iterator[tuple[int, int]]:
    """The cells with the best figure of a column, dense excluded, including ties after rounding.

    Args:
        met: Line and column of figures -> index of the row, and the figure.
        lines: The cells.
        table: The table.
        across: Whether methods are columns, so that the best of each line is sought.
        words: Number of leading cells that are not figures.
    """
    rivals: dict[tuple[int, Column, str], list[tuple[float, tuple[int, int]]]] = defaultdict(list)
    for (line, place), (index, column) in met.items():
        cell, row = lines[line][words + place], table.rows[index]
        if cell.raw.get("mean") is not None and not row.dense:
            rivals[line if across else place, column, row.model].append((float(cell.main), (line, words + place)))
    for figures in rivals.values():
        if len(figures) > 1:
            top = max(value for value, _ in figures)
            yield from (where for value, where in figures if value == top)


def sign(statistics: TableStatistics, cell: tuple[int, Column]) -> str:
    """The sign of a cell that is significantly worse or better than its reference; empty otherwise."""
    p_value = statistics.adjusted.get(cell)
    if p_value is None or p_value >= ALPHA:
        return ""
    return WORSE if statistics.comparisons[cell].difference < 0 else BETTER
