"""Factorize the token table of a pretrained model without training: size and error of each method.

Examples:
  python scripts/factorize.py model=minilm factorization=svd rank=128 output=small
  python scripts/factorize.py model=minilm factorization=svd,weighted_svd rank=32,64 storage=float32,int8 -m
  python scripts/factorize.py model=minilm data=sst2 factorization=all budget=0.2 table=methods.md

Takes these overrides of train.py:
  model=NAME, model.name_or_path=ID_OR_DIRECTORY   the model, which keeps its architecture
  factorization=NAME, factorization.OPTION=VALUE   the method (conf/factorization/), all, or auto: the best of several
  rank=, budget= (with budget_unit=), energy=      the size of the result: one of them
  storage=float32|float16|int8|int6|int4|int3|int2 storage format of the tables
  storage_group=32|64|128|row                      numbers that share a scale in int8 to int2
  data=NAME, evidence.source=FILE                  texts whose tokens are counted, for methods and the weighted error
  evidence.rows=, evidence.warmup_steps=, seed=, trainer.threads=, paths.*, task.*
and two more:
  output=DIR     save the smaller model, for embfact.from_pretrained or AutoModel with trust_remote_code
  table=FILE     also write the table to this file

Exit codes: 0; 1 if a method could not be fitted; 2 if the command was refused and nothing was written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from embfact.cli.command_line import Parser, answer
from embfact.compression.factorize_table import FORMATS
from embfact.config.places import CONF


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 1 if a method could not be fitted, or 2 if it was refused."""
    options = parser().parse_intermixed_args(arguments)
    problems: list[str] = []
    return answer("factorize.py", lambda: problems.extend(_factorize(options))) or int(bool(problems))


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("factorize.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="see above")
    made.add_argument("-m", "--multirun", action="store_true", help="a row for each value in lists a,b,c")
    made.add_argument("--format", choices=list(FORMATS), default="md", help="format of the table: md, csv or json")
    what = (
        "also bytes after zstd, ratios to float32 and float16, memory and the time of a lookup; csv and json have them"
    )
    made.add_argument("--shipped", action="store_true", help=what)
    return made


def _factorize(options: argparse.Namespace) -> list[str]:
    """Run a parsed command; returns the problems of single methods."""
    # Hydra and torch are imported only for a valid command line.
    from embfact.compression.factorize_request import read_factorize_request
    from embfact.runs.preflight import check_downloads

    request = read_factorize_request(CONF, options.overrides, options.multirun)
    check_downloads(job.config for job in request.jobs)
    from embfact.compression.factorize import factorize
    from embfact.system.atomic import write_text

    comparison = factorize(request, _say)
    text = FORMATS[options.format](comparison, options.shipped)
    sys.stdout.write(text)
    if request.table:
        write_text(request.table, text)
        _say(f"wrote {request.table}")
    for line in request.skipped:
        _say(line)
    problems = [f"{row.label} {row.problem}" for row in comparison.rows if row.problem]
    if request.output and not problems:
        _say(f"wrote {request.output}")
    for problem in problems:
        _say(f"factorize.py: {problem}")
    return problems


def _say(line: str) -> None:
    """Print a line to standard error, so that the table can be piped."""
    print(line, file=sys.stderr, flush=True)
