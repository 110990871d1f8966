"""What a picture is asked to show, and in words why it cannot: all that is wrong at once.

Light to import: no matplotlib.
"""

from __future__ import annotations

from dataclasses import dataclass

from embfact.errors import UserError, nearest
from embfact.results.plots.curve_files import LOSS, read_curve
from embfact.results.plots.points import Measure, dense_of, lines, usual_measure
from embfact.results.run_table import Column, Row, Table
from embfact.runs.curve import FILE_NAME

KINDS = {
    "pareto": "metric against size with the Pareto front",
    "retention": "share of dense's metric against compression ratio",
    "curves": "learning curves",
    "tasks": "every data set and metric, a panel each",
}


@dataclass(frozen=True)
class Wish:
    """The words of a command.

    Attributes:
        kind: One of `KINDS`.
        data: Label of a data set; None where there is but one.
        metric: Name of a metric, or a column of the learning curves' files; None takes the first one.
        against: Which size; None takes the one that says most.
    """

    kind: str = "pareto"
    data: str | None = None
    metric: str | None = None
    against: Measure | None = None


@dataclass(frozen=True)
class Chosen:
    """What is drawn.

    Attributes:
        columns: The figures; one, but for ``tasks``.
        against: Which size.
        curve: Column of the learning curves' files.
    """

    columns: tuple[Column, ...]
    against: Measure
    curve: str = LOSS


def choose(table: Table, wish: Wish) -> Chosen:
    """Find what a wish names in a table.

    Args:
        table: What `build_table` made.
        wish: What is asked for.

    Raises:
        UserError: With everything that stands in the way, a line each.
    """
    if not table.columns:
        raise UserError("no finished runs there; run train.py first, or give another directory")
    faults: list[str] = []
    models = sorted({row.model for row in table.rows if row.finished()})
    if len(models) > 1:
        faults.append(f"runs of several backbones there ({', '.join(models)}); draw the folder of one at a time")
    columns = _of_data(table, wish, faults)
    find = _curve if wish.kind == "curves" else _sizes
    chosen = find(table, columns, wish, faults)
    if faults:
        raise UserError("\n".join(faults))
    return chosen


def _of_data(table: Table, wish: Wish, faults: list[str]) -> list[Column]:
    """The figures of the data set that is asked for; of all where it is not clear which."""
    labels = sorted({column.data.label for column in table.columns})
    if wish.data is None and len(labels) > 1 and wish.kind != "tasks":
        several = f"several data sets there ({', '.join(labels)}); choose one with --data"
        faults.append(several + ("" if wish.kind == "curves" else ", or draw them all with --kind tasks"))
    if wish.data is not None and wish.data not in labels:
        faults.append(f"no finished runs on {wish.data}; {nearest(wish.data, labels)}")
    return [column for column in table.columns if wish.data not in labels or wish.data == column.data.label]


def _sizes(table: Table, columns: list[Column], wish: Wish, faults: list[str]) -> Chosen:
    """What is drawn against sizes."""
    clear = len({column.data for column in columns}) == 1 or wish.kind == "tasks"
    names = {column.metric for column in columns}
    if wish.metric is not None and wish.metric not in names:
        faults.append(f"no figure called {wish.metric}; {nearest(wish.metric, names)}")
    columns = [column for column in columns if wish.metric in (None, column.metric) and _rows(table, column)]
    columns = columns if wish.kind == "tasks" else columns[:1]
    against = wish.against or usual_measure(table)
    with_method = [column for column in columns if not all(row.dense for row in _rows(table, column))]
    if clear and wish.metric in (None, *names) and not with_method:
        where = " and ".join(sorted({f"{column.metric} on {column.data.label}" for column in columns})) or "this figure"
        faults.append(f"no factorized run has {where}; train one (factorization=svd rank=64), or choose other data")
    if clear and wish.kind == "retention":
        for column in with_method:
            faults += _without_dense(table, column, against)
    return Chosen(tuple(columns), against)


def _without_dense(table: Table, column: Column, against: Measure) -> list[str]:
    """What stands in the way of a share of dense."""
    found = lines(table, column, against)
    figure = f"{column.metric} on {column.data.label}"
    dense = [one for line in found if line.place is not None and (one := dense_of(line, found))]
    if not any(line.place is None for line in found):
        return [f"no dense run has {figure} to compare with; train one (factorization=none)"]
    if not dense:
        return ["no dense run has the options of any method there; train one that has (factorization=none)"]
    if any(line.points[0].mean <= 0 for line in dense):
        return [f"the mean of dense is not above 0 ({figure}), so nothing is a share of it; choose another --metric"]
    return []


def _curve(table: Table, columns: list[Column], wish: Wish, faults: list[str]) -> Chosen:
    """What is drawn against steps."""
    if wish.against is not None:
        faults.append("--against says nothing for learning curves, which go by steps; leave it out")
    data = {column.data for column in columns}
    runs = [run for row in table.rows for one in data for run in row.finished(one)]
    curves = [read_curve(table.places[run.hash]) for run in runs if run.hash in table.places]
    names = dict.fromkeys(name for curve in curves for name in curve)
    if not names:
        faults.append(
            f"no learning curve there: none of these runs has its {FILE_NAME} on this machine; give the directories "
            "that the runs were written to"
        )
    # The metric says more than the loss, but one epoch of it is a point and no curve.
    first = f"selection/{columns[0].metric}"
    usual = first if any(len(curve.get(first, ((),))[0]) > 1 for curve in curves) else LOSS
    asked = [wish.metric, f"train/{wish.metric}", f"selection/{wish.metric}"] if wish.metric else [usual]
    known = [name for name in asked if name in names]
    if names and not known:
        faults.append(f"no curve called {asked[0]}; {nearest(asked[0], names)}")
    return Chosen(tuple(columns[:1]), "params", known[0] if known else usual)


def _rows(table: Table, column: Column) -> list[Row]:
    return [row for row in table.rows if row.spread(column).mean is not None]
