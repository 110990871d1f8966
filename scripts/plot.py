"""Draw a sweep: a metric against the size of the embedding, mean and spread over seeds.

Example: ``python scripts/plot.py outputs/methods_sst2 --output sweep.svg``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embfact.errors import UserError, nearest
from embfact.records.collect import find_records
from embfact.records.remote import is_url
from embfact.records.table import Column, Table, build_table

if TYPE_CHECKING:
    from embfact.records.picture import Measure

FORMATS = (".svg", ".png", ".pdf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code: 0, or 2 if the input or the output cannot be used."""
    parser = argparse.ArgumentParser(description="Picture of the runs below one or more directories.")
    parser.add_argument(
        "directories", nargs="+", metavar="DIR", help="directory of runs at any depth, or URL of published ones"
    )
    parser.add_argument("--output", type=Path, default=Path("sweep.svg"), metavar="FILE", help=", ".join(FORMATS))
    parser.add_argument("--data", help="data set to draw, where there are several")
    parser.add_argument("--metric", help="metric to draw; the first one of the data set if not given")
    parser.add_argument(
        "--against",
        choices=["params", "bytes"],
        help="size to draw against; params, or bytes where some tables are quantized or coded, if not given",
    )
    options = parser.parse_args(arguments)
    try:
        if options.output.suffix not in FORMATS or not options.output.parent.is_dir():
            raise UserError(f"cannot write {options.output}; give a file ending in {', '.join(FORMATS)} in a folder")
        for directory in options.directories:
            if not is_url(directory) and not Path(directory).is_dir():
                raise UserError(f"{directory} is not a directory; give the output directory of a sweep")
        table = build_table(find_records(options.directories))
        column = _column(table, options.data, options.metric)
        _draw(table, column, options.output, options.against)
    except UserError as error:
        print(f"plot.py: {error}", file=sys.stderr)
        return 2
    print(f"wrote {options.output}")
    return 0


def _column(table: Table, data: str | None, metric: str | None) -> Column:
    if not table.columns:
        raise UserError("no finished runs there; run train.py first, or give another directory")
    labels = {column.data.label for column in table.columns}
    if data is None and len(labels) > 1:
        raise UserError(f"several data sets there ({', '.join(sorted(labels))}); choose one with --data")
    if data is not None and data not in labels:
        raise UserError(f"no runs on {data}; {nearest(data, labels)}")
    columns = [column for column in table.columns if data in (None, column.data.label)]
    names = {column.metric for column in columns}
    if metric is not None and metric not in names:
        raise UserError(f"no figure called {metric}; {nearest(metric, names)}")
    return next(column for column in columns if metric in (None, column.metric))


def _draw(table: Table, column: Column, path: Path, against: Measure | None) -> None:
    # Half a second to import, so only once the words of the command are in order.
    from embfact.records.picture import draw, save

    try:
        save(draw(table, column, against), path)
    except ValueError as error:
        raise UserError(str(error)) from None


if __name__ == "__main__":
    sys.exit(main())
