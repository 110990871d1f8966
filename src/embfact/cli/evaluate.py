"""Score a finished run on its own data set or any other.

Examples:
  python scripts/evaluate.py outputs/default/NAME
  python scripts/evaluate.py outputs/default/NAME data=sst2 data.eval_size=500 --output sst2.json
  python scripts/evaluate.py outputs/default/NAME data=files data.validation_file=mine.csv data.text=review
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from embfact.cli.command_line import Parser, add_run, answer, check_output, write_output
from embfact.config.places import CONF
from embfact.runs.finished_run import open_run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 2 if the command was refused."""
    options = parser().parse_intermixed_args(arguments)
    return answer("evaluate.py", lambda: _evaluate(options))


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("evaluate.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_run(made)
    made.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="data=NAME, data.*, paths.* or trainer.eval_batch_size, as for train.py (default: the run's own data)",
    )
    made.add_argument("--output", type=Path, metavar="FILE.json", help="also write the figures to this file")
    return made


def _evaluate(options: argparse.Namespace) -> None:
    run = open_run(options.run)
    if options.output:
        check_output(options.output)
    # Hydra and Arrow are imported only for a valid command line.
    from embfact.inference.target import read_target

    target = read_target(run, CONF, options.overrides)
    from embfact.inference.evaluation import evaluate

    evaluation = evaluate(run, target, options.device)
    print("\n".join(evaluation.lines()))
    if options.output:
        write_output(options.output, evaluation.json())
