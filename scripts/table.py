"""Print the table of one or more sweeps, or write it to a file.

Example: ``python scripts/table.py outputs/methods_sst2 --format latex --output table.tex``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from embfact.errors import UserError
from embfact.records.atomic import write_text
from embfact.records.collect import find_records
from embfact.records.notes import warnings
from embfact.records.remote import is_url
from embfact.records.render import FORMATS, render
from embfact.records.table import Table, build_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code: 0, or 2 if the input or the output cannot be used."""
    parser = argparse.ArgumentParser(description="Table of the runs below one or more directories.")
    parser.add_argument(
        "directories", nargs="+", metavar="DIR", help="directory of runs at any depth, or URL of published ones"
    )
    parser.add_argument(
        "--format", choices=list(FORMATS), default="md", help="md, latex (booktabs) or csv (raw numbers)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write to this file instead of the terminal")
    options = parser.parse_args(arguments)
    try:
        table = _table(options.directories)
        text = render(table, options.format)
        if options.output is None:
            sys.stdout.write(text)
        else:
            _write(options.output, text)
    except UserError as error:
        print(f"table.py: {error}", file=sys.stderr)
        return 2
    # A CSV file has no room for words, and what is in a file is not seen now.
    if options.format == "csv" or options.output is not None:
        for line in warnings(table):
            print(f"table.py: {line}", file=sys.stderr)
    return 0


def _table(directories: Sequence[str]) -> Table:
    for directory in directories:
        if not is_url(directory) and not Path(directory).is_dir():
            raise UserError(f"{directory} is not a directory; give the output directory of a run or a sweep")
    found = find_records(directories)
    if not found.records:
        unread = "".join(f"\n{problem}" for problem in found.problems)
        places = ", ".join(directories)
        raise UserError(
            f"no readable run records below {places}; run train.py first, or give another directory{unread}"
        )
    return build_table(found)


def _write(path: Path, text: str) -> None:
    if not path.parent.is_dir() or path.is_dir():
        raise UserError(f"cannot write {path}: give a file name in a folder that exists")
    try:
        write_text(path, text)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); give --output another place") from None


if __name__ == "__main__":
    sys.exit(main())
