"""The unrounded numbers of a table as CSV and JSON. Metrics are fractions, not x 100.

Light to import: the standard library only.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from embfact.results.result_table import Column, DataVersion, ResultTable
from embfact.results.table.cells import UNDEFINED, mean_seconds, rank_range, ratio
from embfact.results.table.fields import SIZE_FIELDS
from embfact.results.table.grid import Cell, Grid

if TYPE_CHECKING:
    from embfact.results.statistics.table_statistics import TableStatistics

Number = str | float | None
_FORMULA = re.compile(r"[=+\-@\t\r]")


def json_table(grid: Grid) -> str:
    """Headings, lines with text and numbers of every cell, and notes."""
    content = {
        "caption": grid.caption,
        "label": grid.label,
        "columns": [{"words": one.words, "kind": one.kind, "notes": one.marks} for one in grid.headings],
        "rows": [[_cell(cell) for cell in line] for line in grid.lines],
        "notes": [{"mark": note.mark, "text": note.text} for note in grid.notes],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def csv_grid(grid: Grid) -> str:
    """The lines of a table, with separate columns for each number of a figure and for its notes; no dashes."""
    lines = []
    for cells in grid.lines:
        line: dict[str, Number] = {}
        for heading, cell in zip(grid.headings, cells, strict=True):
            line |= {heading.text: "" if cell.main == UNDEFINED else cell.main} if not cell.raw else {}
            line |= {f"{heading.text} {name}": _plain(value) for name, value in cell.raw.items()}
            if marks := set(filter(None, f"{heading.marks},{cell.marks}".split(","))):
                line[f"{heading.text} notes"] = " ".join(note.text for note in grid.notes if note.mark in marks)
        lines.append(line)
    return csv_of(lines)


def csv_rows(table: ResultTable, columns: Sequence[Column], statistics: TableStatistics | None) -> str:
    """A line for every row and data set."""
    return csv_of(row_lines(table, columns, statistics))


def row_lines(
    table: ResultTable, columns: Sequence[Column], statistics: TableStatistics | None = None
) -> list[dict[str, Number]]:
    """The numbers of every row and data set."""
    pairs = [(index, data) for index in range(len(table.rows)) for data in table.data]
    known = [(i, data) for i, data in pairs if table.rows[i].finished(data) or table.rows[i].failed(data)]
    return [_line(table, index, data, columns, statistics) for index, data in known]


def _line(
    table: ResultTable, index: int, data: DataVersion, columns: Sequence[Column], statistics: TableStatistics | None
) -> dict[str, Number]:
    row = table.rows[index]
    runs = row.finished(data)
    seeds = {run.seed for run in runs}
    ranks = sorted({run.method.rank for run in runs or row.runs if run.method.rank is not None})
    line: dict[str, Number] = {
        "model": row.model,
        "method": row.method,
        "storage": row.storage or "float32",
        "rank": rank_range(ranks),
        "size_name": row.size_name if ranks else "",
        "asked": row.asked,
        "setting": row.setting,
        "data": data.label,
        "data_fingerprint": data.example.data.fingerprint,
        "train_rows": data.example.data.rows.get("train"),
        "seeds": _plain(sorted(seeds)),
        "missing_seeds": _plain(sorted(table.missing_seeds(row, data))),
        "failed_runs": len(row.failed(data)),
        "seconds": mean_seconds(runs),
    }
    size = next((run.size for run in [*runs, *row.failed(data)] if run.size), None)
    for name, field in SIZE_FIELDS.items():
        if field.against:
            line[f"embedding_{name}"] = ratio(size, field.path, field.against) if size else None
            continue
        # Of dense, records have only the usual sizes.
        for whose in ("", "dense.") if field.usual and field.path else ("",) if field.path else ():
            path = f"{whose}{field.path}"
            line[path.replace(".", "_")] = attrgetter(path)(size) if size else None
    for split, metric in dict.fromkeys((column.split, column.metric) for column in columns):
        name, column = f"{split}_{metric}", Column(data, split, metric)
        spread = row.spread(column)
        line |= {f"{name}_mean": spread.mean, f"{name}_std": spread.std}
        line[f"{name}_n"] = len(spread.defined) if spread.values else None
        if statistics:
            line |= {f"{name}_{key}": value for key, value in _tested(statistics, (index, column)).items()}
    return line


def _tested(statistics: TableStatistics, cell: tuple[int, Column]) -> dict[str, Number]:
    low, high = statistics.intervals.get(cell, (None, None))
    found = statistics.comparisons.get(cell)
    return {
        "low": low,
        "high": high,
        "difference": found.difference if found else None,
        "p": found.p_value if found else None,
        "p_holm": statistics.adjusted.get(cell),
    }


def _cell(cell: Cell) -> dict[str, Any]:
    text = " ".join(filter(None, [cell.count.strip(), cell.main, cell.rest]))
    marks = {"bold": cell.bold, "sign": cell.sign, "notes": cell.marks}
    return {"text": text, **{name: value for name, value in marks.items() if value}, **cell.raw}


def _plain(value: Any) -> Number:
    """A value as a CSV field."""
    if isinstance(value, Mapping):
        return " ".join(f"{key}:{one}" for key, one in value.items())
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value


def csv_of(lines: Iterable[Mapping[str, Any]]) -> str:
    """Lines of values by column name as CSV; text that a spreadsheet would evaluate gets a leading apostrophe."""
    lines = list(lines)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(dict.fromkeys(name for line in lines for name in line))
    writer.writerow(map(_no_formula, names))
    writer.writerows([_no_formula(line.get(name)) for name in names] for line in lines)
    return text.getvalue()


def _no_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
