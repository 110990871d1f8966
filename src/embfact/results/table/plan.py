"""The plan of a table: the whole table, a pivot of it, or the layout of a published table.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from embfact.errors import ConfigError, ErrorDetail
from embfact.results.result_table import Column, ResultTable, Row, row_label
from embfact.results.table.cells import UNDEFINED, rank_range
from embfact.results.table.fields import FIGURE_FIELDS, MEAN, OF_SIZE, ROW_FIELDS, SIZE_FIELDS, SYNONYMS
from embfact.results.table.grid import Heading, Place, Plan, SizeColumn
from embfact.results.table.layouts import LAYOUTS, Task
from embfact.results.table.request import TableRequest, errors

Item = TypeVar("Item", Row, Column)


def plan(table: ResultTable, request: TableRequest) -> Plan:
    """The layout of a requested table.

    Raises:
        ConfigError: With all errors of the request: unknown names, and cells that would mix rows or figures.
    """
    found = list(errors(request, table))
    shown = [column for column in table.columns if column.metric in request.metrics or not request.metrics]
    if not (found or request.whole):
        found = list(mixed(table, shown, request))
    if found:
        raise ConfigError(found)
    if request.whole:
        return whole(table, shown)
    made = laid_out(table, shown, request) if request.layout else pivot(table, shown, request)
    sizes = [" ".join(column.words) for column in made.columns if isinstance(column, SizeColumn)]
    if sizes and any(len(line.rows) > 1 for line in made.lines):
        named = ", ".join(sizes)
        raise ConfigError(
            [ErrorDetail(f"{named} would mix the rows of a line", remedy="put model, method and rank into --rows")]
        )
    return made


def whole(table: ResultTable, shown: Sequence[Column]) -> Plan:
    """All rows of a table with all sizes and the selected figures."""
    several = {row.target for row in table.rows if row.asked}
    mixed = any(row.size_name != "rank" for row in table.rows if row.ranks)
    words = {
        **({"model": "model"} if len({row.model for row in table.rows}) > 1 else {}),
        "method": "label",
        **({"setting": "setting"} if any(row.setting for row in table.rows) else {}),
        # A budget shared by all rows is in the legend.
        **({"asked": "target"} if len(several) > 1 else {}),
    }
    lines = []
    for index, row in enumerate(table.rows):
        size = (f"{row.size_name} " if mixed and row.ranks else "") + (rank_range(row.ranks) or UNDEFINED)
        texts = (*(str(getattr(row, word)) for word in words.values()), size)
        lines.append(Place(texts, frozenset({index}), frozenset(shown)))
    everywhere = frozenset(range(len(table.rows)))
    sizes = [SizeColumn(field.words, name) for name, field in SIZE_FIELDS.items() if field.usual]
    figures = [Place(_heading(column, table), everywhere, frozenset({column})) for column in shown]
    fields = [*(Heading((name,), "words") for name in words), Heading(("size" if mixed else "rank",), "count")]
    return Plan(tuple(fields), tuple(lines), (*sizes[:-1], *figures, sizes[-1]))


def pivot(table: ResultTable, shown: Sequence[Column], request: TableRequest) -> Plan:
    """A table by the fields of a valid request."""
    rows, columns = axes(request)
    figures = [name for name in columns if name not in (*SIZE_FIELDS, MEAN)]
    sizes = tuple(SizeColumn(SIZE_FIELDS[name].words, name) for name in columns if name in SIZE_FIELDS)
    if MEAN in columns:
        names = dict.fromkeys(column.data.example.data.name for column in shown)
        tasks = {name: frozenset(c for c in shown if c.data.example.data.name == name) for name in names}
        sizes = (*sizes, SizeColumn(("GLUE",), MEAN, tasks))
    found = tuple(_titled(place, figures) for place in places(table, shown, figures, rows) if figures or not columns)
    return Plan(
        _fields(rows, {}), places(table, shown, rows, figures), (*sizes, *found), UNDEFINED, "method" in columns
    )


def _titled(place: Place, fields: Sequence[str]) -> Place:
    """A column whose heading labels bare rank numbers."""
    pairs = zip(fields, place.words, strict=True)
    words = (f"r={word}" if name == "rank" and word[0].isdigit() else word for name, word in pairs)
    return replace(place, words=tuple(word for word in words if word != UNDEFINED) or ("figure",))


def laid_out(table: ResultTable, shown: Sequence[Column], request: TableRequest) -> Plan:
    """A table in the layout of a published one."""
    layout = LAYOUTS[request.layout]
    rows = request.rows or layout.rows
    everywhere = frozenset(range(len(table.rows)))
    columns: list[Place | SizeColumn] = []
    tasks: dict[str, frozenset[Column]] = {}
    for column in layout.columns:
        if isinstance(column, Task):
            found = _of_task(column, shown) or {column.heading: frozenset()}
            columns += [Place((heading,), everywhere, figures) for heading, figures in found.items()]
            tasks[column.dataset] = tasks.get(column.dataset, frozenset()).union(*found.values())
        elif column != "mean":
            columns.append(SizeColumn((layout.headings[column],), column))
    if "mean" in layout.columns:
        place = 0 if layout.columns[0] == "mean" else len(columns)
        columns.insert(place, SizeColumn((layout.headings["mean"],), tasks=tasks))
    return Plan(_fields(rows, layout.headings), places(table, shown, rows, ()), tuple(columns), UNDEFINED)


def axes(request: TableRequest) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields of lines and columns, with defaults."""
    rows, columns = (tuple(SYNONYMS.get(name, name) for name in names) for names in (request.rows, request.columns))
    if request.layout:
        return rows or LAYOUTS[request.layout].rows, tuple(FIGURE_FIELDS)
    rows = rows or _free(("method", "rank"), columns) or _free((*FIGURE_FIELDS, *ROW_FIELDS), columns)[:1]
    return rows, columns or _free(("dataset", "metric", "split"), rows)[:1]


def _free(names: Iterable[str], taken: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in taken)


def mixed(table: ResultTable, shown: Sequence[Column], request: TableRequest) -> Iterator[ErrorDetail]:
    """Every cell that several rows or figures would share, with the fields that distinguish them."""
    used = [name for names in axes(request) for name in names]
    rows = [name for name in ROW_FIELDS if name in used]
    for group in _groups(table.rows, [ROW_FIELDS[name].text for name in rows]):
        apart = [name for name, field in ROW_FIELDS.items() if len({field.text(row) for row in group}) > 1]
        if apart:
            labels = [row_label(row, table) for row in group]
            yield ErrorDetail(
                f"{_listed(labels)} would share a cell", remedy=f"add {' or '.join(apart)} to --rows or --columns"
            )
    columns = axes(request)[1]
    if columns and set(columns) <= {*SIZE_FIELDS, MEAN}:
        return  # no figures are shown
    figures = [name for name in FIGURE_FIELDS if name in used]
    for alike in _groups(shown, [FIGURE_FIELDS[name] for name in figures]):
        apart = [name for name, text in FIGURE_FIELDS.items() if len({text(column) for column in alike}) > 1]
        if apart:
            labels = [f"{column.data.label} {column.metric} on {column.split}" for column in alike]
            choose = ", or choose one metric with --metric" if apart == ["metric"] else ""
            yield ErrorDetail(
                f"{_listed(labels)} would share a cell", remedy=f"add {', '.join(apart)} to --rows or --columns{choose}"
            )


def _listed(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _fields(rows: Iterable[str], names: Mapping[str, str]) -> tuple[Heading, ...]:
    kinds = {name: field.kind for name, field in ROW_FIELDS.items()}
    return tuple(Heading((names.get(name, name),), kinds.get(name, "words")) for name in rows)


def _heading(column: Column, table: ResultTable) -> tuple[str, ...]:
    splits = {other.split for other in table.columns if other.data == column.data}
    return (column.data.label, *([column.split] if len(splits) > 1 else []), column.metric)


def _of_task(task: Task, shown: Sequence[Column]) -> dict[str, frozenset[Column]]:
    """The figures of a task by heading; several if its data set has several versions or splits."""
    found = [
        column
        for column in shown
        if (column.data.example.data.name, column.metric) == (task.dataset, task.metric)
        and task.split in ("", column.split)
    ]
    split = len({column.split for column in found}) > 1
    return {
        task.heading + column.data.label.removeprefix(task.dataset) + (f" {column.split}" if split else ""): frozenset(
            {column}
        )
        for column in found
    }


def _groups(items: Iterable[Item], texts: Sequence[Callable[[Item], str]]) -> list[list[Item]]:
    """Items grouped by equal texts."""
    groups: dict[tuple[str, ...], list[Item]] = defaultdict(list)
    for item in items:
        groups[tuple(text(item) for text in texts)].append(item)
    return list(groups.values())


def places(
    table: ResultTable, shown: Sequence[Column], fields: Sequence[str], others: Sequence[str]
) -> tuple[Place, ...]:
    """The lines (or columns) by some fields; `others` are the fields of the columns (or lines)."""
    pairs: dict[tuple[str | None, ...], list[tuple[int, Column | None]]] = defaultdict(list)
    order: dict[tuple[str | None, ...], tuple[Any, ...]] = {}
    for index, column in _pairs(table, shown, fields):
        row = table.rows[index]
        words = tuple(_word(name, row, column, fields, others) for name in fields)
        pairs[words].append((index, column))
        order.setdefault(words, tuple(_order(name, row, column, shown) for name in fields))
    for words in [words for words in pairs if None in words]:
        concrete = [other for other in pairs if None not in other]
        fitting = [o for o in concrete if all(word in (None, own) for word, own in zip(words, o, strict=True))]
        moved = pairs.pop(words)
        for other in fitting or [tuple(word or UNDEFINED for word in words)]:
            pairs[other] += moved
            order.setdefault(other, order[words])
    everything = frozenset(shown)
    return tuple(
        Place(
            tuple(map(str, words)),
            frozenset(index for index, _ in pairs[words]),
            frozenset(column for _, column in pairs[words] if column) or everything,
        )
        for words in sorted(pairs, key=lambda words: order[words])
    )


def _pairs(table: ResultTable, shown: Sequence[Column], fields: Sequence[str]) -> Iterator[tuple[int, Column | None]]:
    """Rows, combined with figures if a field belongs to figures; if others belong to rows, only with tried figures."""
    of_figures = [name in FIGURE_FIELDS for name in fields]
    for index, row in enumerate(table.rows):
        if not any(of_figures):
            yield index, None
            continue
        for column in shown:
            if all(of_figures) or row.finished(column.data) or row.failed(column.data):
                yield index, column


def _word(name: str, row: Row, column: Column | None, fields: Sequence[str], others: Sequence[str]) -> str | None:
    """The value of a field; None for any value, since a method without a size is compared with every size of others."""
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
