"""Label new text with a finished run, or write GLUE's submission file for it.

Examples:
  python scripts/predict.py outputs/default/NAME --text "a fine film" --text "a dull one"
  python scripts/predict.py outputs/default/NAME --file reviews.csv --text-column review --output labels.csv
  python scripts/predict.py outputs/default/NAME --glue
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from embfact.cli.command_line import Parser, add_run, answer, check_output, write_output
from embfact.errors import UserError
from embfact.runs.finished_run import FinishedRun, open_run

OUTPUTS = (".csv", ".jsonl")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 2 if the command was refused."""
    made = parser()
    options = made.parse_args(arguments)
    if options.pair and not options.text:
        made.error("--pair needs --text; give both")
    if options.text_column and not options.file:
        made.error("--text-column needs --file; give both")
    return answer(made.prog, lambda: _glue(options) if options.glue else _label(options))


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("predict.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_run(made)
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", action="append", metavar="TEXT", help="a text to label; can be repeated")
    what.add_argument("--file", type=Path, help="texts to label: .txt (one per line), .csv, .tsv, .jsonl or .parquet")
    what.add_argument("--glue", action="store_true", help="write the submission file of the run's GLUE task")
    made.add_argument("--pair", action="append", metavar="TEXT", help="the second text of a pair, one for each --text")
    made.add_argument(
        "--text-column",
        action="append",
        metavar="COLUMN",
        help="text column of --file, given twice for pairs (default: as in training)",
    )
    made.add_argument(
        "--output",
        type=Path,
        help=".csv or .jsonl file for the labels; with --glue the folder (default: RUN/submission)",
    )
    return made


def _label(options: argparse.Namespace) -> None:
    run = open_run(options.run)
    if options.output:
        if options.output.suffix.lower() not in OUTPUTS:
            raise UserError(f"--output {options.output} has an unknown extension; use {' or '.join(OUTPUTS)}")
        check_output(options.output)
    # Arrow is imported only for a valid command line.
    from embfact.inference.labelling import FORMATS, file_rows, given_rows, label_rows

    if options.file:
        rows = file_rows(run, options.file, options.text_column or [])
    else:
        rows = given_rows(run, options.text, options.pair or [])
    labelled = label_rows(run, rows, options.device)
    if options.output:
        write_output(options.output, FORMATS[options.output.suffix.lower()](labelled))
    else:
        print("\n".join(labelled.lines()))


def _glue(options: argparse.Namespace) -> None:
    run: FinishedRun = open_run(options.run)
    folder = options.output or run.directory / "submission"
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output {folder} is a file; with --glue give a folder")
    from embfact.inference.submission import make_submission, write_submission

    for path in write_submission(make_submission(run, options.device), folder):
        print(f"wrote {path}")
