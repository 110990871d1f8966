"""Plot a sweep: metric against size, retention of dense accuracy, learning curves, or every task.

Example: ``python scripts/plot.py outputs/methods_sst2 --output sweep.svg``
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from embfact.cli.command_line import Parser, add_directories, complain
from embfact.errors import UserError
from embfact.results.collect import find_records
from embfact.results.plots.points import MEASURES
from embfact.results.plots.spec import KINDS, PlotSpec, choose
from embfact.results.result_table import ResultTable, build_table
from embfact.results.table.notes import warnings
from embfact.system.remote import is_url

FORMATS = (".svg", ".png", ".pdf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 2 if the input or the output cannot be used."""
    options = parser().parse_args(arguments)
    try:
        table = _table(options.directories, options.output)
        _draw(table, PlotSpec(options.kind, options.data, options.metric, options.against), options.output)
    except UserError as error:
        for line in str(error).splitlines():
            complain("plot.py", line)
        return 2
    for line in warnings(table):
        complain("plot.py", line)
    print(f"wrote {options.output}")
    return 0


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("plot.py", description="Plot the runs below one or more directories.")
    add_directories(made)
    kinds = "; ".join(f"{kind}: {text}" for kind, text in KINDS.items())
    made.add_argument("--kind", choices=list(KINDS), default="pareto", help=kinds.replace("%", "%%"))
    made.add_argument("--output", type=Path, default=Path("sweep.svg"), metavar="FILE", help=", ".join(FORMATS))
    made.add_argument("--data", help="data set to plot, if there are several")
    made.add_argument("--metric", help="metric to plot, or a column of metrics.csv for curves (default: the first)")
    made.add_argument(
        "--against",
        choices=list(MEASURES),
        help="size to plot against (default: params, or bytes if some tables are quantized or coded)",
    )
    return made


def _table(directories: Sequence[str], output: Path) -> ResultTable:
    errors = []
    if output.suffix not in FORMATS or not output.parent.is_dir() or output.is_dir():
        errors.append(f"cannot write {output}; give a file ending in {', '.join(FORMATS)} in an existing folder")
    for directory in directories:
        if not is_url(directory) and not Path(directory).is_dir():
            errors.append(f"{directory} is not a directory; give the output directory of a sweep")
    if errors:
        raise UserError("\n".join(errors))
    return build_table(find_records(directories))


def _draw(table: ResultTable, spec: PlotSpec, output: Path) -> None:
    chosen = choose(table, spec)
    # Takes half a second to import, so only for a valid command line.
    from embfact.results.plots.draw import draw
    from embfact.results.plots.style import save

    try:
        save(draw(table, spec, chosen), output)
    except OSError as error:
        raise UserError(f"cannot write {output} ({error.strerror}); give --output another place") from None
