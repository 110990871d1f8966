"""Write a report on a sweep: a folder with table, statistics, plots, dashboard and analysis.

Example: ``python scripts/report.py outputs/methods_sst2`` writes ``outputs/methods_sst2/report``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from embfact.cli.command_line import Parser, add_directories, answer, complain
from embfact.config.places import CONF
from embfact.errors import ConfigError, ErrorDetail
from embfact.results.dashboard.sweep import Sweep, read_sweep
from embfact.results.plots.spec import KINDS
from embfact.system.remote import is_url

MARKER = "table.csv"  # identifies an older report
NAMES = re.compile(rf"README\.md|table\.(md|tex|csv)|dashboard\.html|({'|'.join(KINDS)})(-.+)?\.(svg|png|pdf)")
ANALYSIS = re.compile(r"analysis(-[^/]+)?(/[^/]+\.(html|md|json|svg|png|pdf))?")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 2 if the input or the output cannot be used."""
    options = parser().parse_args(arguments)
    return answer("report.py", lambda: _report(options))


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser("report.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_directories(made)
    made.add_argument("--output", type=Path, metavar="DIR", help="folder to write; replaces an older report")
    made.add_argument(
        "--tolerance", type=_points, default=1.0, metavar="POINTS", help="tolerated loss against dense (default: 1)"
    )
    made.add_argument("--no-analysis", action="store_true", help="leave out the analysis of the trained tables")
    made.add_argument(
        "--light", action="store_true", help="for a repository: no dashboard, analysis or curves, plots as SVG alone"
    )
    return made


def _report(options: argparse.Namespace) -> None:
    sweep, output = _check(options.directories, options.output)
    # Takes half a second to import, so only for a valid command line.
    from embfact.report.steps import Steps
    from embfact.report.write import write_report

    with closing(Steps()) as steps:
        problems = write_report(
            sweep,
            output,
            CONF,
            steps,
            tolerance=options.tolerance / 100,
            analysis=not (options.no_analysis or options.light),
            light=options.light,
        )
    for problem in [*sweep.table.problems, *problems]:
        complain("report.py", problem)
    print(f"wrote {output}: start with README.md")


def _check(directories: Sequence[str], asked: Path | None) -> tuple[Sweep, Path]:
    errors = [
        ErrorDetail("not a directory", directory, "give the output directory of a run or a sweep")
        for directory in directories
        if not is_url(directory) and not Path(directory).is_dir()
    ]
    sweep = read_sweep([] if errors else directories, may_be_empty=True)
    if not errors and not any(row.finished() for row in sweep.table.rows):
        errors.append(ErrorDetail("no finished runs", ", ".join(directories), "run train.py first"))
    output = asked or Path(directories[0]) / "report"
    older = sorted(path.relative_to(output).as_posix() for path in output.rglob("*")) if output.is_dir() else []
    if output.exists() and (not output.is_dir() or (older and MARKER not in older)):
        errors.append(ErrorDetail("--output exists and is not a report", str(output), "name a new folder"))
    elif own := [name for name in older if not NAMES.fullmatch(name) and not ANALYSIS.fullmatch(name)]:
        what = f"the older report, which would be replaced, holds {own[0]}, which is not of a report"
        errors.append(ErrorDetail(what, str(output), "move it, or name a new folder"))
    if asked and not output.absolute().parent.is_dir():
        errors.append(
            ErrorDetail("the folder of --output does not exist", str(output), "create it, or name another one")
        )
    if errors:
        raise ConfigError(errors)
    return sweep, output


def _points(text: str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = -1.0
    if not 0 < points <= 100:
        raise argparse.ArgumentTypeError(f"must be points above 0 and up to 100 (found {text})")
    return points
