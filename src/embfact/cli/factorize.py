"""Factorize the token table of a pretrained model without training it: what each method saves and what it costs.

Examples:
  python scripts/factorize.py model=minilm factorization=svd rank=128 output=small
  python scripts/factorize.py model=minilm factorization=svd,weighted_svd rank=32,64 storage=float32,int8 -m
  python scripts/factorize.py model=minilm data=sst2 factorization=all budget=0.2 table=methods.md

Words are those of train.py:
  model=NAME, model.name_or_path=ID_OR_DIRECTORY   the model; its own architecture is kept
  factorization=NAME, factorization.OPTION=VALUE   the method (conf/factorization/); all: each of them
  rank=, budget= (with budget_unit=), energy=      how large the result may be: one of them
  storage=float32|float16|int8|int4                how the tables are kept
  storage_group=32|64|128|row                      numbers that share a scale in int8 and int4
  data=NAME, evidence.source=FILE                  texts whose tokens are counted, for methods and the weighted error
  evidence.rows=, evidence.warmup_steps=, seed=, trainer.threads=, paths.*, task.*
and two of its own:
  output=DIR     write the smaller model there: embfact.from_pretrained loads it, and with trust_remote_code AutoModel
  table=FILE     write the table to this file as well

The exit code is 0; 1 if a method could not be fitted; 2 if the command was refused, and then nothing was written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from embfact.cli.command_line import Parser, answer
from embfact.compression.factorize_table import FORMATS
from embfact.config.places import CONF


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code: 0, 1 if a method could not be fitted, or 2 if it was refused."""
    parser = Parser("factorize.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="see above")
    parser.add_argument("-m", "--multirun", action="store_true", help="a row for each of the values in lists a,b,c")
    parser.add_argument("--format", choices=list(FORMATS), default="md", help="of the table: md, csv or json")
    options = parser.parse_intermixed_args(arguments)
    problems: list[str] = []
    return answer(parser.prog, lambda: problems.extend(_factorize(options))) or int(bool(problems))


def _factorize(options: argparse.Namespace) -> list[str]:
    """Do what is asked for; gives the problems of single methods."""
    # Hydra and torch only once the command line holds.
    from embfact.compression.factorize_request import read_factorize_request
    from embfact.runs.preflight import check_downloads

    request = read_factorize_request(CONF, options.words, options.multirun)
    check_downloads(job.config for job in request.jobs)
    from embfact.compression.factorize import factorize
    from embfact.system.atomic import write_text

    comparison = factorize(request, _say)
    text = FORMATS[options.format](comparison)
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
    """What is no part of the table goes to standard error, so that the table can be piped."""
    print(line, file=sys.stderr, flush=True)
