"""A table as Markdown (which is also what the terminal shows), LaTeX or CSV.

Light to import: the standard library only.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from operator import attrgetter

from embfact.records.cells import SIZES, UNDEFINED, mean_seconds, rank_range, text_cells
from embfact.records.notes import legend, sources, warnings
from embfact.records.table import Column, DataVersion, Row, Table


def render(table: Table, form: str = "md") -> str:
    """A table as text.

    Args:
        table: What `build_table` made.
        form: ``md`` (aligned Markdown, for the terminal too), ``latex`` (booktabs) or ``csv`` (raw numbers).

    Returns:
        The text, which ends with a line break.

    Raises:
        ValueError: If there is no such format.
    """
    if form not in FORMATS:
        raise ValueError(f"unknown format {form!r}; use one of: {', '.join(FORMATS)}")
    return FORMATS[form](table)


def _markdown(table: Table) -> str:
    notes = [f"- {_markdown_escape(note)}" for note in [legend(table), *sources(table), *warnings(table)]]
    return "\n".join([*markdown_grid(*text_cells(table)), "", *notes]) + "\n"


def markdown_grid(header: Sequence[str], lines: Sequence[Sequence[str]], texts: int) -> list[str]:
    """The lines of an aligned Markdown table.

    Args:
        header: Names of the columns.
        lines: Cells, as many a line as there are columns.
        texts: How many leading columns hold words; the others hold figures, aligned to the right.
    """
    cells = [[_markdown_escape(cell) for cell in line] for line in [header, *lines]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * width if column < texts else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    aligned = [
        [cell.ljust(width) if column < texts else cell.rjust(width) for column, (cell, width) in enumerate(pairs)]
        for pairs in (list(zip(line, widths, strict=True)) for line in cells)
    ]
    return ["| " + " | ".join(line) + " |" for line in [aligned[0], rule, *aligned[1:]]]


def _latex(table: Table) -> str:
    header, lines, texts = text_cells(table)
    rows = [" & ".join(map(_latex_escape, line)) + r" \\" for line in [header, *lines]]
    notes = [rf"{_latex_escape(note)}\par" for note in [*sources(table), *warnings(table)]]
    return (
        "\n".join(
            [
                r"% needs \usepackage{booktabs}",
                r"\begin{table}",
                r"\centering",
                rf"\caption{{{_latex_escape(legend(table))}}}",
                rf"\begin{{tabular}}{{{'l' * texts}{'r' * (len(header) - texts)}}}",
                r"\toprule",
                rows[0],
                r"\midrule",
                *rows[1:],
                r"\bottomrule",
                r"\end{tabular}",
                r"\par\smallskip\footnotesize\raggedright",
                *notes,
                r"\end{table}",
            ]
        )
        + "\n"
    )


def _csv(table: Table) -> str:
    pairs = [(row, data) for row in table.rows for data in table.data]
    lines = [_csv_line(table, row, data) for row, data in pairs if row.finished(data) or row.failed(data)]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for line in lines for name in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _csv_line(table: Table, row: Row, data: DataVersion) -> dict[str, str | float | None]:
    """Raw numbers of one row on one data set; metrics are as computed, not x 100."""
    runs = row.finished(data)
    seeds = {run.seed for run in runs}
    ranks = sorted({run.method.rank for run in runs or row.runs if run.method.rank is not None})
    line: dict[str, str | float | None] = {
        "model": row.model,
        "method": row.method,
        "storage": row.storage or "float32",
        "rank": rank_range(ranks),
        "size_name": row.size_name if ranks else "",
        "asked": row.asked,
        "setting": row.setting,
        "data": data.label,
        "data_fingerprint": data.example.data.fingerprint,
        "train_rows": data.example.data.rows.get("train"),
        "seeds": " ".join(map(str, sorted(seeds))),
        "missing_seeds": " ".join(map(str, sorted(table.seeds(data, row.model) - seeds))),
        "failed_runs": len(row.failed(data)),
        "seconds": mean_seconds(runs),
    }
    for path in [f"{whose}{path}" for path in SIZES.values() for whose in ("", "dense.")]:
        line[path.replace(".", "_")] = attrgetter(path)(runs[0].size) if runs else None
    for split, metric in dict.fromkeys((column.split, column.metric) for column in table.columns):
        spread = row.spread(Column(data, split, metric))
        line[f"{split}_{metric}_mean"] = spread.mean
        line[f"{split}_{metric}_std"] = spread.std
        line[f"{split}_{metric}_n"] = len(spread.defined) if spread.values else None
    return line


FORMATS: dict[str, Callable[[Table], str]] = {"md": _markdown, "latex": _latex, "csv": _csv}


def _markdown_escape(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


_LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    UNDEFINED: "--",
    "\n": " ",
}


def _latex_escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
