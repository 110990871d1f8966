"""Print the table of one or more sweeps, or write it to a file.

Examples:
    python scripts/table.py outputs/methods_sst2 --format latex --output table.tex
    python scripts/table.py outputs/glue --rows method --columns dataset --significance
    python scripts/table.py outputs/glue --layout albert_table3
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from embfact.cli.command_line import Parser, add_directories, complain
from embfact.errors import UserError
from embfact.log import as_called
from embfact.results.collect import Collected, find_records
from embfact.results.result_table import ResultTable, build_table
from embfact.results.table.fields import FIGURE_FIELDS, MEAN, ROW_FIELDS, SIZE_FIELDS
from embfact.results.table.layouts import LAYOUTS
from embfact.results.table.notes import sources, warnings
from embfact.results.table.render import FORMATS, render
from embfact.results.table.request import BOLD, STATS, TableRequest
from embfact.results.table.terminal import terminal_width
from embfact.system.atomic import write_text
from embfact.system.remote import is_url


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 2 if the input or the output cannot be used."""
    options = parser().parse_args(arguments)
    try:
        table = _table(options.directories, options.source)
        request = TableRequest(
            rows=options.rows,
            columns=options.columns,
            layout=options.layout,
            metrics=options.metric,
            stat=options.stat,
            against=options.against,
            bold=options.bold,
            significance=options.significance,
            caption=options.caption,
            label=options.label,
        )
        text = render(table, options.format, request, width=None if options.output else terminal_width())
        if options.output is None:
            sys.stdout.write(as_called(text) if options.format == "md" else text)
        else:
            _write(options.output, text)
    except UserError as error:
        complain("table.py", str(error))
        return 2
    # A CSV file cannot hold notes, and those in a file are easily overlooked.
    if options.format == "csv" or options.output is not None:
        apart = [line for data, line in zip(table.data, sources(table), strict=False) if data.difference]
        for line in [*apart, *warnings(table)]:
            complain("table.py", line)
    return 0


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("table.py", description="Table of the runs below one or more directories.")
    add_directories(made, nargs="*")
    made.add_argument("--from", dest="source", metavar="wandb:ENTITY/PROJECT", help="take the runs of a W&B project")
    fields = ", ".join([*ROW_FIELDS, *FIGURE_FIELDS])
    made.add_argument("--rows", type=_names, default=(), metavar="FIELDS", help=f"fields that define a row: {fields}")
    sizes = ", ".join([*SIZE_FIELDS, MEAN])
    made.add_argument("--columns", type=_names, default=(), metavar="FIELDS", help=f"columns: the same, and {sizes}")
    made.add_argument("--layout", default="", metavar="NAME", help=f"layout of a published table: {', '.join(LAYOUTS)}")
    made.add_argument("--metric", type=_names, default=(), metavar="NAMES", help="show only these metrics")
    made.add_argument(
        "--stat",
        type=lambda text: text.replace("+-", "±"),
        choices=STATS,
        default=STATS[0],
        help="what follows a mean",
    )
    made.add_argument("--bold", choices=BOLD, default="", help="best: also the best of the table; none: nothing")
    made.add_argument("--significance", action="store_true", help="mark significant differences from the reference")
    made.add_argument(
        "--against", default="none", metavar="METHOD", help="the reference, e.g. svd-r64 (default: none, i.e. dense)"
    )
    made.add_argument("--format", choices=list(FORMATS), default="md", help="csv and json contain unrounded numbers")
    made.add_argument("--caption", default="", help="caption of the table (default: how to read it)")
    made.add_argument("--label", default="tab:embfact", help="LaTeX label (default: tab:embfact)")
    made.add_argument("--output", type=Path, metavar="FILE", help="write to this file instead of the terminal")
    return made


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _table(directories: Sequence[str], source: str | None) -> ResultTable:
    if bool(directories) == bool(source):
        raise UserError("give either DIR, the output directory of a run or a sweep, or --from wandb:ENTITY/PROJECT")
    found = _from_wandb(source) if source else _below(directories)
    if not found.records:
        unread = "".join(f"\n{problem}" for problem in found.problems)
        places = source or ", ".join(directories)
        raise UserError(
            f"no readable run records below {places}; run train.py first, or give another directory{unread}"
        )
    return build_table(found)


def _below(directories: Sequence[str]) -> Collected:
    for directory in directories:
        if not is_url(directory) and not Path(directory).is_dir():
            raise UserError(f"{directory} is not a directory; give the output directory of a run or a sweep")
    return find_records(directories)


def _from_wandb(source: str) -> Collected:
    if not source.startswith("wandb:"):
        raise UserError(f"--from cannot read {source!r}; give wandb:ENTITY/PROJECT")
    from embfact.results.wandb.runs import collected

    return collected(source)


def _write(path: Path, text: str) -> None:
    if not path.parent.is_dir() or path.is_dir():
        raise UserError(f"cannot write {path}: give a file name in an existing folder")
    try:
        write_text(path, text)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); give --output another place") from None
