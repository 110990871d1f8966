"""The report of a sweep as a folder, written completely or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from statistics import fmean

from embfact.analysis.files import PAGE, write_analysis
from embfact.analysis.request import read_analysis_request
from embfact.config.sections import slug
from embfact.errors import UserError
from embfact.formatting.markdown import escape, markdown_grid
from embfact.formatting.numbers import short
from embfact.report.steps import Steps
from embfact.results.dashboard.html import page as dashboard
from embfact.results.dashboard.payload import payload
from embfact.results.dashboard.sweep import Sweep
from embfact.results.plots.draw import draw
from embfact.results.plots.points import Line, dense_of, line_name, lines
from embfact.results.plots.spec import KINDS, PlotSpec
from embfact.results.plots.style import save
from embfact.results.result_table import Column, DataVersion, ResultTable, Row, row_label
from embfact.results.statistics.compare import Comparison, noninferior
from embfact.results.statistics.summary import common_reach, curve_area, smallest_within
from embfact.results.statistics.table_statistics import TableStatistics, table_statistics
from embfact.results.table.cells import UNDEFINED
from embfact.results.table.render import render
from embfact.results.table.request import TableRequest
from embfact.system.atomic import replacing

TOLERANCE = 0.01  # one point

FORMATS = ("svg", "png", "pdf")  # of plots; the page shows the first
DASHBOARD = "dashboard.html"
TABLES = {"md": "md", "latex": "tex", "csv": "csv"}
ALL_DATA = {"tasks"}  # plots of all data sets


def write_report(
    sweep: Sweep,
    output: Path,
    conf_dir: Path,
    steps: Steps,
    *,
    tolerance: float = TOLERANCE,
    analysis: bool = True,
    light: bool = False,
) -> list[str]:
    """Write tables, statistics, plots, dashboard and analysis of a sweep.

    Args:
        sweep: The sweep.
        output: The folder; an existing report is replaced.
        conf_dir: The folder with ``train.yaml``.
        steps: Shows the progress.
        tolerance: The tolerated loss against dense, as a fraction.
        analysis: Whether to analyse the trained tables, which takes longest.
        light: Leave out the dashboard, learning curves (a panel for each setting) and all copies of a plot but the SVG.

    Returns:
        What the report could not show, and why.

    Raises:
        OSError: If writing fails; an existing report is then untouched.
    """
    table = sweep.table
    with replacing(output.absolute()) as folder:
        kinds = _kinds(table)
        if light:
            kinds = {name: spec for name, spec in kinds.items() if spec.kind != "curves"}
        steps.expect(1 + len(kinds) + 1)
        steps.begin("tables and statistics")
        statistics = table_statistics(table)
        request = TableRequest(significance=any(row.dense for row in table.rows))  # without dense there is no test
        for form, ending in TABLES.items():
            text = render(table, form, request, statistics)
            (folder / f"table.{ending}").write_text(text, encoding="utf-8")
        steps.done("plots")
        drawn, problems = _plots(table, kinds, folder, steps, FORMATS[:1] if light else FORMATS)
        if not light:
            steps.begin("dashboard")
            (folder / DASHBOARD).write_text(dashboard(payload(sweep, statistics)), encoding="utf-8")
        steps.done()
        analysed: list[str] = []
        if analysis:
            analysed, more = _analyses(table, folder, conf_dir, steps)
            problems += more
        shown = (folder / "table.md").read_text(encoding="utf-8")
        lines = [*_front(table, shown, drawn, analysed, light), *findings(table, statistics, tolerance)]
        if problems:
            lines += ["## Left out", "", *(f"- {escape(problem)}" for problem in problems)]
        (folder / "README.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return problems


def _front(table: ResultTable, shown: str, drawn: Sequence[str], analysed: Sequence[str], light: bool) -> list[str]:
    """The first part of the page: the table, links to the other files, and the plots."""
    names = ", ".join(dict.fromkeys(run.experiment for row in table.rows for run in row.runs))
    files = ["[table.tex](table.tex), [table.csv](table.csv): the table for a paper and for a spreadsheet"]
    if not light:
        files += [f"[{DASHBOARD}]({DASHBOARD}): an interactive page of all runs (download and open it)"]
    files += [f"[{name}]({name}/{PAGE}): analysis of the trained tables" for name in analysed]
    plots = [line for name in drawn for line in (f"![{name}]({name}.svg)", "")]
    text = (shown, "", *(f"- {line}" for line in files), "")
    return [f"# {escape(names)}", "", *text, *plots, "## Against the dense model", ""]


def _kinds(table: ResultTable) -> dict[str, PlotSpec]:
    """The plots of a report by file name: every kind for every data set."""
    specs = {}
    several = len(table.data) > 1
    slugs = _slugs([data.label for data in table.data])
    for kind in KINDS:
        if kind in ALL_DATA and len(table.columns) < 2:
            continue  # it would equal the first plot
        for data in [None] if kind in ALL_DATA or not several else [data.label for data in table.data]:
            specs[f"{kind}-{slugs[data]}" if data else kind] = PlotSpec(kind, data)
    return specs


def _plots(
    table: ResultTable, kinds: Mapping[str, PlotSpec], folder: Path, steps: Steps, formats: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Save plots in every format; returns the names of those that were drawn, and why others are missing."""
    drawn, problems = [], []
    for name, spec in kinds.items():
        try:
            figure = draw(table, spec)
            for form in formats:
                save(figure, folder / f"{name}.{form}")
            drawn.append(name)
        except UserError as error:
            problems += [f"{name}: {line}" for line in str(error).splitlines()]
        steps.done()
    return drawn, problems


def _analyses(table: ResultTable, folder: Path, conf_dir: Path, steps: Steps) -> tuple[list[str], list[str]]:
    """Write an analysis per backbone and data set, of one run per row; returns names and reasons for missing ones."""
    from embfact.analysis.analyse import analyse

    done, problems = [], []
    models = dict.fromkeys(row.model for row in table.rows)
    slugs = _slugs([f"{data.label} {model}" for data in table.data for model in models])
    for data in table.data:
        for model in models:
            several = len(table.data) * len(models) > 1
            name = f"analysis-{slugs[f'{data.label} {model}']}" if several else "analysis"
            runs, why = _analysable(table, [row for row in table.rows if row.model == model], data, conf_dir)
            problems += [f"{name}: {line}" for line in why]
            if not runs:
                continue
            steps.expect(most := 2 * len(runs) + 1)
            steps.begin(name)
            found = analyse(read_analysis_request(conf_dir, runs, folder / name, None), steps.done)
            steps.begin(f"plots of {name}")
            write_analysis(found, folder / name)
            steps.done()
            steps.expect(len(found.tables) - most)  # not every table is shown at its start
            done.append(name)
            problems += [f"{name}: {problem}" for problem in found.problems]
    return done, problems


def _slugs(labels: Sequence[str]) -> dict[str, str]:
    """A file name part for each label; labels that differ only in punctuation (C++ and C#) are numbered."""
    slugs: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        candidates = chain([slug(label)], (f"{slug(label)}-{number}" for number in count(2)))
        slugs[label] = next(name for name in candidates if name not in slugs.values())
    return slugs


def _analysable(
    table: ResultTable, rows: Sequence[Row], data: DataVersion, conf_dir: Path
) -> tuple[list[str], list[str]]:
    """The run with the lowest seed of every row whose table can be analysed; and why others cannot be."""
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


def findings(table: ResultTable, statistics: TableStatistics, tolerance: float = TOLERANCE) -> list[str]:
    """Sections of a report in Markdown, one per figure of the table.

    Args:
        table: The table.
        statistics: Its statistics against dense.
        tolerance: The tolerated loss against dense, as a fraction.
    """
    text: list[str] = []
    for column in table.columns:
        text += [f"### {escape(column.data.label)}: {escape(column.metric)} on {escape(column.split)}", ""]
        text += [*_compared(table, column, statistics, tolerance), *_methods(table, column, statistics, tolerance)]
    if statistics.problems:
        text += ["### Not compared", "", *(f"- {escape(problem)}" for problem in statistics.problems), ""]
    return text


def _compared(table: ResultTable, column: Column, statistics: TableStatistics, tolerance: float) -> Iterator[str]:
    rows = [(place, row) for place, row in enumerate(table.rows) if (place, column) in statistics.comparisons]
    cells = []
    for place, row in rows:
        found = statistics.comparisons[place, column]
        name = table.rows[statistics.against[place, column]].label
        kept = noninferior(found, tolerance)
        cells.append(
            [
                row_label(row, table),
                "dense" if name == "none" else name,
                f"{100 * found.difference:+.2f}",
                f"{100 * found.low:+.2f} to {100 * found.high:+.2f}",
                _p_value(statistics.adjusted.get((place, column))),
                f"{100 * kept.bound:.2f}",
                "yes" if kept.holds else "no",
                " against ".join(map(str, found.seeds)),
            ]
        )
    if cells:
        head = ["row", "minus", "difference, points", f"{100 * found.level:g} % interval", "p (Holm)"]
        head += ["loss below, points", f"below {100 * tolerance:g}", "seeds"]
        yield from markdown_grid(head, cells, 2)
        yield ""
        yield "- Intervals are not corrected for the number of comparisons; the p-values are (Holm)."
    for place, row in rows:
        found = statistics.comparisons[place, column]
        if not found.low > 0 and not found.high < 0:
            yield f"- {escape(row_label(row, table))}: {found.note}"
    for (place, own), verdict in statistics.informative.items():
        if own == column:
            yield f"- {escape(line_name(table.rows[place]))}: {verdict.note}"
    yield ""


def _methods(table: ResultTable, column: Column, statistics: TableStatistics, tolerance: float) -> Iterator[str]:
    found = lines(table, column, "bytes")
    curves = {line.name: (line, _retained(line, found)) for line in found if line.number is not None}
    reach = common_reach([points for _, points in curves.values()])
    cells = []
    for label, (line, points) in curves.items():
        area = curve_area(points, reach)
        sizes = list(_sizes(table, line, column, statistics))
        smallest = smallest_within(sizes, tolerance)
        cells.append(
            [
                label,
                UNDEFINED if area is None else f"{100 * area:.1f}",
                *(_smallest(size, bool(sizes)) for size in (smallest.by_bound, smallest.by_mean)),
            ]
        )
    if cells:
        point = f"{100 * tolerance:g} point{'' if tolerance == TOLERANCE else 's'}"
        retained = f"retained, % of dense, mean over log2 compression 1x to {reach:.3g}x"
        head = ["method", retained, f"smallest with less than {point} lost, 95 % sure", "by its mean alone"]
        yield from markdown_grid(head, cells, 1)
        yield ""


def _retained(line: Line, found: list[Line]) -> list[tuple[float, float]]:
    """Compression of the embedding's bytes, and the metric as a fraction of dense."""
    dense = dense_of(line, found)
    mean = fmean(point.mean for point in dense.points) if dense else 0.0
    return [(point.ratio, point.mean / mean) for point in line.points] if mean > 0 else []


def _sizes(
    table: ResultTable, line: Line, column: Column, statistics: TableStatistics
) -> Iterator[tuple[float, Comparison]]:
    places = {id(row): place for place, row in enumerate(table.rows)}
    for point in line.points:
        compared = statistics.comparisons.get((places[id(point.row)], column))
        if compared is not None:
            yield point.size, compared


def _smallest(size: float | None, compared: bool) -> str:
    if not compared:
        return UNDEFINED
    return "none" if size is None else f"{short(int(size))}B"


def _p_value(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
