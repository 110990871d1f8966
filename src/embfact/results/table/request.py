"""A request for a table: its rows and columns, the content of its cells, and its marks.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from embfact.errors import ErrorDetail, nearest
from embfact.results.result_table import ResultTable
from embfact.results.table.fields import FIGURE_FIELDS, MEAN, ROW_FIELDS, SIZE_FIELDS, SYNONYMS
from embfact.results.table.layouts import LAYOUTS

_NOT_IN_LABELS = frozenset("\\{}%#$&~^\n\r")  # special to LaTeX
STATS = ("mean±std", "ci", "mean")
BOLD = ("best", "none")


@dataclass(frozen=True)
class TableRequest:
    """How a table is laid out; the default is the whole table, with a line per method and size.

    Attributes:
        rows: Fields of the lines; empty for the default.
        columns: Fields of the columns, including sizes; empty for the default.
        layout: Name of a published layout, which has its own columns; empty for none.
        metrics: The metrics to show; empty for all.
        stat: Statistic shown with a mean: ``mean±std`` (sample standard deviation), ``ci`` (95 % interval), ``mean``.
        against: The reference method: ``none``, ``svd int8``; ``svd-r64`` for one size.
        bold: ``best`` or ``none``; empty for best, but for none in the whole table.
        significance: Whether to mark significant differences from `against`.
        caption: For LaTeX and HTML; empty for the legend.
        label: For LaTeX.
        reasons: Whether notes tell why runs failed.
    """

    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    layout: str = ""
    metrics: tuple[str, ...] = ()
    stat: str = STATS[0]
    against: str = "none"
    bold: str = ""
    significance: bool = False
    caption: str = ""
    label: str = "tab:embfact"
    reasons: bool = True

    @property
    def whole(self) -> bool:
        """Whether it is the whole table, without pivot or layout."""
        return not (self.rows or self.columns or self.layout)

    @property
    def marks_best(self) -> bool:
        """Whether the best figures are bold."""
        return self.bold == "best" or (not self.bold and not self.whole)

    @property
    def tested(self) -> bool:
        """Whether statistics are needed, which take time to import and compute."""
        return self.significance or self.stat == "ci"


def errors(request: TableRequest, table: ResultTable) -> Iterator[ErrorDetail]:
    """Every name that the table does not have, and every pair of conflicting options."""
    yield from _wrong_fields(request)
    named = [("metric", metric, {column.metric for column in table.columns}) for metric in request.metrics]
    named += [("layout", request.layout, set(LAYOUTS))] if request.layout else []
    references = {name for row in table.rows for name in (row.label, f"{row.label}-{row.asked}")}
    named += [("reference row", request.against, references)] if request.significance else []
    for name, value, valid in named:
        if value not in valid:
            yield ErrorDetail(f"there is no {name} {value!r}", remedy=nearest(value, valid))
    if wrong := sorted(set(request.label) & _NOT_IN_LABELS):
        yield ErrorDetail(
            f"--label cannot contain {' '.join(map(repr, wrong))}", request.label, "e.g. --label tab:sst2"
        )
    if request.layout and (request.columns or request.metrics):
        yield ErrorDetail("a layout has its own columns", remedy="leave out --columns and --metric, or --layout")


def _wrong_fields(request: TableRequest) -> Iterator[ErrorDetail]:
    fields = [*ROW_FIELDS, *FIGURE_FIELDS, *SYNONYMS]
    valid = {"--rows": fields, "--columns": [*fields, *SIZE_FIELDS, MEAN]}
    given = {"--rows": request.rows, "--columns": request.columns}
    for option, names in given.items():
        for name in names:
            if name in valid[option]:
                continue
            if name == "seed":
                remedy = "cells aggregate over seeds; --format json has the value of each seed"
            elif name in SIZE_FIELDS:
                remedy = "sizes are columns: give it to --columns"
            else:
                remedy = nearest(name, valid[option])
            yield ErrorDetail(f"{option} does not take {name!r}", remedy=remedy)
    everything = [SYNONYMS.get(name, name) for names in given.values() for name in names]
    for name in dict.fromkeys(name for name in everything if everything.count(name) > 1):
        yield ErrorDetail(f"{name} is given more than once", remedy="name a field once, in --rows or in --columns")
