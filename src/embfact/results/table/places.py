"""The lines and the columns that fields make of a table.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from embfact.results.run_table import Column, Row, Table
from embfact.results.table.cells import UNDEFINED
from embfact.results.table.fields import FIGURE_FIELDS, OF_SIZE, ROW_FIELDS
from embfact.results.table.grid import Place


def places(table: Table, shown: Sequence[Column], fields: Sequence[str], others: Sequence[str]) -> tuple[Place, ...]:
    """The lines, or the columns, that some fields make; `others` are those of the other side."""
    met: dict[tuple[str | None, ...], list[tuple[int, Column | None]]] = defaultdict(list)
    order: dict[tuple[str | None, ...], tuple[Any, ...]] = {}
    for index, column in _meetings(table, shown, fields):
        row = table.rows[index]
        words = tuple(_word(name, row, column, fields, others) for name in fields)
        met[words].append((index, column))
        order.setdefault(words, tuple(_order(name, row, column, shown) for name in fields))
    for words in [words for words in met if None in words]:
        fitting = [other for other in met if None not in other and _fits(words, other)]
        pairs = met.pop(words)
        for other in fitting or [tuple(word or UNDEFINED for word in words)]:
            met[other] += pairs
            order.setdefault(other, order[words])
    everything = frozenset(shown)
    return tuple(
        Place(
            tuple(map(str, words)),
            frozenset(index for index, _ in met[words]),
            frozenset(column for _, column in met[words] if column) or everything,
        )
        for words in sorted(met, key=lambda words: order[words])
    )


def _meetings(table: Table, shown: Sequence[Column], fields: Sequence[str]) -> Iterator[tuple[int, Column | None]]:
    """Rows, with figures where a field is of figures: with those that they were tried on where others are of rows."""
    of_figures = [name in FIGURE_FIELDS for name in fields]
    for index, row in enumerate(table.rows):
        if not any(of_figures):
            yield index, None
            continue
        for column in shown:
            if all(of_figures) or row.finished(column.data) or row.failed(column.data):
                yield index, column


def _word(name: str, row: Row, column: Column | None, fields: Sequence[str], others: Sequence[str]) -> str | None:
    """The value of a field; None for any value: a method without a size is compared with every size of others."""
    if column and name in FIGURE_FIELDS:
        return FIGURE_FIELDS[name](column)
    if name in OF_SIZE and not row.ranks and "method" in others:
        return None
    if name == "rank" and row.dense and "method" not in fields:
        return "dense"
    return ROW_FIELDS[name].text(row)


def _order(name: str, row: Row, column: Column | None, shown: Sequence[Column]) -> Any:
    if column and name in FIGURE_FIELDS:
        values = [FIGURE_FIELDS[name](other) for other in shown]
        return values.index(FIGURE_FIELDS[name](column))
    return ROW_FIELDS[name].order(row)


def _fits(words: Sequence[str | None], other: Sequence[str | None]) -> bool:
    return all(word is None or word == concrete for word, concrete in zip(words, other, strict=True))
