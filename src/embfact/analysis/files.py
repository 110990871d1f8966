"""An analysis as a folder of files, which appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

from embfact.analysis.analyse import Analysis
from embfact.analysis.page import page
from embfact.analysis.pictures import pictures
from embfact.analysis.request import JSON_FILE
from embfact.analysis.summary import markdown
from embfact.results.plots.style import save
from embfact.system.atomic import replacing

PAGE, TABLES = "analysis.html", "analysis.md"
FORMATS = (".svg", ".png", ".pdf")


def write_analysis(analysis: Analysis, output: Path) -> None:
    """Write page, figures, tables and pictures; an older analysis of the same name is replaced.

    Args:
        analysis: The figures.
        output: The folder.

    Raises:
        OSError: If it cannot be written; an older one is then untouched.
    """
    with replacing(output.absolute()) as folder:
        for name, figure in pictures(analysis).items():
            for ending in FORMATS:
                save(figure, folder / f"{name}{ending}")
        drawn = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.svg")}
        documents = {PAGE: page(analysis, drawn), JSON_FILE: analysis.json(), TABLES: markdown(analysis)}
        for name, text in documents.items():
            (folder / name).write_text(text, encoding="utf-8")
