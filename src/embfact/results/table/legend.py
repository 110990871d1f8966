"""How to read a table, and everything that stands below it.

Light to import: the standard library only, unless there are statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from embfact.results.run_table import Table
from embfact.results.table.fields import SIZE_FIELDS
from embfact.results.table.grid import Note, Place, Plan, SizeColumn
from embfact.results.table.layouts import LAYOUTS
from embfact.results.table.marks import ALPHA, BETTER, WORSE, Letters
from embfact.results.table.notes import sources
from embfact.results.table.request import Request

if TYPE_CHECKING:
    from embfact.results.statistics.table_statistics import TableStatistics

_STAT = {
    "mean±std": "mean ± sample standard deviation over seeds",
    "ci": "mean over seeds and its 95 % confidence interval over seeds and examples",
    "mean": "mean over seeds",
}


def legend(table: Table, plan: Plan, request: Request, statistics: TableStatistics | None) -> str:
    """How to read the figures, in a paragraph."""
    return " ".join([*_backbone(table), *_figures(plan, request), *_sizes(table, plan), *_marks(request, statistics)])


def notes(
    table: Table,
    plan: Plan,
    request: Request,
    letters: Letters,
    words: str,
    statistics: TableStatistics | None,
) -> Iterator[Note]:
    """What stands below a table: legend, sources of the figures shown, what is missing, what could not be tested."""
    yield Note(words)
    shown = {column.data for place in plan.columns if isinstance(place, Place) for column in place.columns}
    told = sources(table)
    for data, text in zip(table.data, told, strict=False):
        if data in shown:
            yield Note(text, letters.data.get(data, ""))
    yield from map(Note, told[len(table.data) :])
    for letter, remark in letters.remarks:
        yield Note(remark.text, letter)
    if request.layout:
        yield Note(f"Columns as in {LAYOUTS[request.layout].source}: another setting than factorizing a trained table.")
    yield from (Note(_unmeant(name)) for name in sorted(_several(plan)))
    if statistics:
        for (_, column), found in statistics.informative.items():
            if found.verdict is False and column.data in shown:
                yield Note(f"{column.data.label} {column.metric} on {column.split} is {found.note}.")
        yield from (Note(f"Not computed: {problem}.") for problem in statistics.problems)


def _backbone(table: Table) -> Iterator[str]:
    models = {row.model for row in table.rows}
    if len(models) == 1:
        yield f"Backbone: {models.pop()}."
    targets = {row.target for row in table.rows if row.asked}
    if len(targets) == 1 and any(targets):
        yield f"Every size asked for by {targets.pop()}."


def _figures(plan: Plan, request: Request) -> Iterator[str]:
    yield f"Metrics x 100, {_STAT[request.stat]}."
    if any(isinstance(column, SizeColumn) and column.field not in SIZE_FIELDS for column in plan.columns):
        yield "Mean over the tasks that are there, in brackets how many; over other tasks it does not compare."


def _sizes(table: Table, plan: Plan) -> Iterator[str]:
    shown = {column.field for column in plan.columns if isinstance(column, SizeColumn)}
    if shown & {name for name, (_, path) in SIZE_FIELDS.items() if path}:
        yield "Sizes as saved, of the token embedding (emb.) and of the model, in brackets as a share of dense."
        if any(row.storage for row in table.rows):
            yield "Quantized tables count the parameters that they had before: compare their bytes."
    if "seconds" in shown:
        yield "Seconds: mean of a whole run."


def _marks(request: Request, statistics: TableStatistics | None) -> Iterator[str]:
    if request.marks_best:
        yield "Bold: the best, dense apart."
    if request.significance and statistics:
        tests = sum(value is not None for value in statistics.adjusted.values())
        yield (
            f"{WORSE} worse, {BETTER} better than {request.against}: paired test over seeds and examples, p < {ALPHA} "
            f"after Holm's correction for {tests} comparison{'s' * (tests != 1)}."
        )


def _several(plan: Plan) -> set[str]:
    tasks = [column.tasks for column in plan.columns if isinstance(column, SizeColumn)]
    return {name for sets in tasks for name, found in sets.items() if len({column.data for column in found}) > 1}


def _unmeant(name: str) -> str:
    return f"{name} stands for several versions of its data and is in no mean."
