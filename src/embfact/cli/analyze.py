"""Analyze a token table, and how factorization and training change it: one page, its plots, and all figures.

Examples:
  python scripts/analyze.py model=minilm data=sst2 factorization=svd,weighted_svd rank=32,64,128 --output analysis
  python scripts/analyze.py outputs/default/NAME --output analysis --words good,bad,film
  python scripts/analyze.py outputs/methods_sst2/*weighted_svd*-s0-* --output analysis

A model is given by the overrides of scripts/factorize.py; lists a,b,c are compared. Its pretrained table is compared
with each method's. For a finished run, the trained table is compared with the pretrained one of its backbone, and with
what its method made of that before training. See docs/analysis.md.

Exit codes: 0; 1 if a method could not be analysed; 2 if the command was refused and nothing was written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from embfact.cli.command_line import Parser, answer, complain
from embfact.config.places import CONF


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 1 if a method could not be analysed, or 2 if it was refused."""
    options = parser().parse_intermixed_args(arguments)
    problems: list[str] = []
    return answer("analyze.py", lambda: problems.extend(_analyse(options))) or int(bool(problems))


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("analyze.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "subjects", nargs="+", metavar="RUN or KEY=VALUE", help="finished runs, or a model and methods as above"
    )
    made.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder to write; replaces an older analysis"
    )
    made.add_argument("--words", metavar="A,B,...", help="words whose neighbours and positions are shown")
    return made


def _analyse(options: argparse.Namespace) -> Sequence[str]:
    """Run a parsed command; returns the problems of single methods."""
    # Hydra and torch are imported only for a valid command line.
    from embfact.analysis.request import read_analysis_request
    from embfact.runs.preflight import check_downloads

    request = read_analysis_request(CONF, options.subjects, options.output, options.words)
    check_downloads([request.config])
    from embfact.analysis.analyse import analyse
    from embfact.analysis.files import write_analysis
    from embfact.analysis.summary import markdown

    analysis = analyse(request, lambda line: print(line, file=sys.stderr, flush=True))
    write_analysis(analysis, options.output)
    sys.stdout.write(markdown(analysis))
    print(f"wrote {options.output}", file=sys.stderr)
    for line in request.skipped:
        print(line, file=sys.stderr)
    for problem in analysis.problems:
        complain("analyze.py", problem)
    return analysis.problems
