"""A sweep turned into a folder to read and to paste from: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, count
from pathlib import Path

from embfact.analysis.files import PAGE, write_analysis
from embfact.analysis.request import read_analysis_request
from embfact.config.sections import slug
from embfact.errors import UserError
from embfact.formatting.markdown import escape
from embfact.report.findings import TOLERANCE, findings
from embfact.results.dashboard.html import page as dashboard
from embfact.results.dashboard.payload import payload
from embfact.results.dashboard.sweep import Sweep
from embfact.results.plots.draw import draw
from embfact.results.plots.style import save
from embfact.results.plots.wish import KINDS, Wish
from embfact.results.run_table import DataVersion, Row, Table
from embfact.results.statistics.table_statistics import table_statistics
from embfact.results.table.render import render
from embfact.results.table.request import Request
from embfact.system.atomic import replacing

FORMATS = ("svg", "png", "pdf")
TABLES = {"md": "md", "latex": "tex", "csv": "csv"}
ALL_DATA = {"tasks"}  # pictures that show every data set at once


def write_report(
    sweep: Sweep,
    output: Path,
    conf_dir: Path,
    say: Callable[[str], None],
    *,
    tolerance: float = TOLERANCE,
    analysis: bool = True,
) -> list[str]:
    """Write tables, statistics, pictures, dashboard and analysis of a sweep.

    Args:
        sweep: What `read_sweep` read.
        output: The folder, which is replaced.
        conf_dir: The folder with ``train.yaml``.
        say: Told what is being done.
        tolerance: The loss against dense that is tolerated, as a fraction.
        analysis: Whether to look into the trained tables, which takes longest.

    Returns:
        In words, what the report could not show.

    Raises:
        OSError: If it cannot be written; an older report is then untouched.
    """
    table = sweep.table
    with replacing(output.absolute()) as folder:
        say("tables and statistics")
        statistics = table_statistics(table)
        for form, ending in TABLES.items():
            text = render(table, form, Request(significance=True), statistics)
            (folder / f"table.{ending}").write_text(text, encoding="utf-8")
        say("pictures")
        drawn, problems = _pictures(table, folder)
        say("dashboard")
        (folder / "dashboard.html").write_text(dashboard(payload(sweep)), encoding="utf-8")
        analysed: list[str] = []
        if analysis:
            analysed, more = _analyses(table, folder, conf_dir, say)
            problems += more
        shown = (folder / "table.md").read_text(encoding="utf-8")
        lines = [*_front(table, shown, drawn, analysed), *findings(table, statistics, tolerance)]
        (folder / "README.md").write_text("\n".join([*lines, *_left_out(problems)]).rstrip() + "\n", encoding="utf-8")
    return problems


def _front(table: Table, shown: str, drawn: Sequence[str], analysed: Sequence[str]) -> list[str]:
    """The first part of the page: the table, the pictures, and where the rest is."""
    names = ", ".join(dict.fromkeys(run.experiment for row in table.rows for run in row.runs))
    files = ["[table.tex](table.tex), [table.csv](table.csv): the table to paste and to compute with"]
    files += ["[dashboard.html](dashboard.html): every run, to filter and to click (download it and open it)"]
    files += [f"[{name}]({name}/{PAGE}): what the trained tables hold" for name in analysed]
    pictures = [line for name in drawn for line in (f"![{name}]({name}.svg)", "")]
    text = (shown, "", *(f"- {line}" for line in files), "")
    return [f"# {escape(names)}", "", *text, *pictures, "## Against the dense model", ""]


def _left_out(problems: Sequence[str]) -> list[str]:
    return ["## Left out", "", *(f"- {escape(problem)}" for problem in problems), ""] if problems else []


def _pictures(table: Table, folder: Path) -> tuple[list[str], list[str]]:
    """Every kind of picture of every data set; the names of those that there are, and why others are missing."""
    drawn, problems = [], []
    several = len(table.data) > 1
    words = _file_words([data.label for data in table.data])
    for kind in KINDS:
        for data in [None] if kind in ALL_DATA or not several else [data.label for data in table.data]:
            if kind in ALL_DATA and len(table.columns) < 2:
                continue  # it would be the first picture once more
            name = f"{kind}-{words[data]}" if data else kind
            try:
                for form in FORMATS:
                    save(draw(table, Wish(kind, data)), folder / f"{name}.{form}")
                drawn.append(name)
            except UserError as error:
                problems += [f"{name}: {line}" for line in str(error).splitlines()]
    return drawn, problems


def _analyses(table: Table, folder: Path, conf_dir: Path, say: Callable[[str], None]) -> tuple[list[str], list[str]]:
    """An analysis for each backbone and data set, of one run a row; their folders, and why others are missing."""
    from embfact.analysis.analyse import analyse

    done, problems = [], []
    models = dict.fromkeys(row.model for row in table.rows)
    words = _file_words([f"{data.label} {model}" for data in table.data for model in models])
    for data in table.data:
        for model in models:
            several = len(table.data) * len(models) > 1
            name = f"analysis-{words[f'{data.label} {model}']}" if several else "analysis"
            runs, why = _analysable(table, [row for row in table.rows if row.model == model], data, conf_dir)
            problems += [f"{name}: {line}" for line in why]
            if not runs:
                continue
            request = read_analysis_request(conf_dir, runs, folder / name, None)
            found = analyse(request, say)
            write_analysis(found, folder / name)
            done.append(name)
            problems += [f"{name}: {problem}" for problem in found.problems]
    return done, problems


def _file_words(labels: Sequence[str]) -> dict[str, str]:
    """What stands for each label in file names; two that differ in punctuation alone (C++ and C#) are numbered."""
    words: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        numbered = (f"{slug(label)}-{number}" for number in count(2))
        words[label] = next(word for word in chain([slug(label)], numbered) if word not in words.values())
    return words


def _analysable(table: Table, rows: Sequence[Row], data: DataVersion, conf_dir: Path) -> tuple[list[str], list[str]]:
    """The run of the lowest seed of every row whose table can be analysed; and in words, why others cannot be."""
    found, problems = [], []
    for row in rows:
        runs = sorted((run for run in row.finished(data) if run.hash in table.places), key=lambda run: run.seed)
        if row.dense or not runs:
            continue
        directory = str(table.places[runs[0].hash])
        try:
            read_analysis_request(conf_dir, [directory], Path("analysis"), None)
            found.append(directory)
        except UserError as error:
            problems += [line.removeprefix("- ") for line in str(error).splitlines()]
    return found, problems
