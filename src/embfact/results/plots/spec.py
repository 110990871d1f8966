"""The specification of a plot, validated against a table with all errors at once.

Light to import: no matplotlib.
"""

from __future__ import annotations

from dataclasses import dataclass

from embfact.errors import UserError, nearest
from embfact.results.plots.points import Measure, dense_of, lines, usual_measure
from embfact.results.result_table import Column, ResultTable, Row
from embfact.runs.curve import FILE_NAME, read_curves

LOSS = "train/loss"

KINDS = {
    "pareto": "metric against size with the Pareto front",
    "retention": "share of dense's metric against compression ratio",
    "curves": "learning curves",
    "tasks": "every data set and metric, one panel each",
}


@dataclass(frozen=True)
class PlotSpec:
    """A requested plot.

    Attributes:
        kind: One of `KINDS`.
        data: Label of a data set; None if there is only one.
        metric: Name of a metric or a learning curve; None for the first one.
        against: Size; None for the most informative one.
    """

    kind: str = "pareto"
    data: str | None = None
    metric: str | None = None
    against: Measure | None = None


@dataclass(frozen=True)
class Chosen:
    """The content of a plot: one column (several for ``tasks``), the size, and the name of the learning curve."""

    columns: tuple[Column, ...]
    against: Measure
    curve: str = LOSS


def choose(table: ResultTable, spec: PlotSpec) -> Chosen:
    """Find what a spec names in a table.

    Raises:
        UserError: With every problem, one per line.
    """
    if not table.columns:
        raise UserError("no finished runs found; run train.py first, or give another directory")
    errors: list[str] = []
    models = sorted({row.model for row in table.rows if row.finished()})
    if len(models) > 1:
        errors.append(f"runs of several backbones found ({', '.join(models)}); plot the folder of one at a time")
    columns = _of_data(table, spec, errors)
    find = _curve if spec.kind == "curves" else _sizes
    chosen = find(table, columns, spec, errors)
    if errors:
        raise UserError("\n".join(errors))
    return chosen


def _of_data(table: ResultTable, spec: PlotSpec, errors: list[str]) -> list[Column]:
    """The columns of the requested data set; of all data sets if it is unclear."""
    labels = sorted({column.data.label for column in table.columns})
    if spec.data is None and len(labels) > 1 and spec.kind != "tasks":
        several = f"several data sets found ({', '.join(labels)}); choose one with --data"
        errors.append(several + ("" if spec.kind == "curves" else ", or plot all of them with --kind tasks"))
    if spec.data is not None and spec.data not in labels:
        errors.append(f"no finished runs on {spec.data}; {nearest(spec.data, labels)}")
    return [column for column in table.columns if spec.data not in labels or spec.data == column.data.label]


def _sizes(table: ResultTable, columns: list[Column], spec: PlotSpec, errors: list[str]) -> Chosen:
    """The content of a plot against size."""
    clear = len({column.data for column in columns}) == 1 or spec.kind == "tasks"
    names = {column.metric for column in columns}
    if spec.metric is not None and spec.metric not in names:
        errors.append(f"no metric called {spec.metric}; {nearest(spec.metric, names)}")
    columns = [column for column in columns if spec.metric in (None, column.metric) and _rows(table, column)]
    columns = columns if spec.kind == "tasks" else columns[:1]
    against = spec.against or usual_measure(table)
    with_method = [column for column in columns if not all(row.dense for row in _rows(table, column))]
    if clear and spec.metric in (None, *names) and not with_method:
        where = " and ".join(sorted({f"{column.metric} on {column.data.label}" for column in columns})) or "this metric"
        errors.append(f"no factorized run has {where}; train one (factorization=svd rank=64), or choose other data")
    if clear and spec.kind == "retention":
        for column in with_method:
            errors += _without_dense(table, column, against)
    return Chosen(tuple(columns), against)


def _without_dense(table: ResultTable, column: Column, against: Measure) -> list[str]:
    """The problems of a share of dense."""
    found = lines(table, column, against)
    figure = f"{column.metric} on {column.data.label}"
    dense = [one for line in found if line.number is not None and (one := dense_of(line, found))]
    if not any(line.number is None for line in found):
        return [f"no dense run has {figure} to compare with; train one (factorization=none)"]
    if not dense:
        return ["no dense run has the options of any method; train one that has (factorization=none)"]
    if any(line.points[0].mean <= 0 for line in dense):
        return [f"the mean of dense is not above 0 ({figure}), so shares of it are undefined; choose another --metric"]
    return []


def _curve(table: ResultTable, columns: list[Column], spec: PlotSpec, errors: list[str]) -> Chosen:
    """The content of a plot against steps."""
    if spec.against is not None:
        errors.append("--against does not apply to learning curves, which are plotted against steps; leave it out")
    data = {column.data for column in columns}
    runs = [run for row in table.rows for one in data for run in row.finished(one)]
    curves = [read_curves(table.places[run.hash]) for run in runs if run.hash in table.places]
    names = dict.fromkeys(name for curve in curves for name in curve)
    if not names:
        errors.append(
            f"no learning curve found: none of these runs has its {FILE_NAME} on this machine; give the directories "
            "that the runs were written to"
        )
    longest = {name: max(len(curve[name][0]) for curve in curves if name in curve) for name in names}
    # The metric is more informative than the loss, but after one epoch it is a single point.
    first = f"selection/{columns[0].metric}"
    usual = first if longest.get(first, 0) > 1 or LOSS not in names else LOSS
    asked = [spec.metric, f"train/{spec.metric}", f"selection/{spec.metric}"] if spec.metric else [usual]
    known = [name for name in asked if name in names]
    if names and not known:
        errors.append(f"no curve called {asked[0]}; {nearest(asked[0], names)}")
    if known and longest[known[0]] < 2:
        curves_left = [name for name, values in longest.items() if values > 1]
        others = f", or choose another --metric ({', '.join(curves_left)})" if curves_left else ""
        errors.append(f"{known[0]} has one value per run, which is no curve; train more epochs{others}")
    return Chosen(tuple(columns[:1]), "params", known[0] if known else usual)


def _rows(table: ResultTable, column: Column) -> list[Row]:
    return [row for row in table.rows if row.spread(column).mean is not None]
