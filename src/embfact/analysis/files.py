"""An analysis as a folder of files, written completely or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from embfact.analysis.analyse import Analysis
from embfact.analysis.figures import TableFigures
from embfact.analysis.plots import plots
from embfact.analysis.request import JSON_FILE
from embfact.analysis.summary import Grid, grids, markdown, notes
from embfact.results.plots.style import save
from embfact.system.atomic import replacing

# Plots keep the white paper that they are drawn on: their colours are those of every other picture.
_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #222; --soft: #555; --rule: #999; --hover: #f3f6f9; --kept: #0072b2;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181d; --ink: #e6e9ed; --soft: #a3adb8; --rule: #5b6470; --hover: #1c2229; --kept: #56b4e9; }
}
body {
  font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 72rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere;
}
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
p { max-width: 46rem; }
svg { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
.wide, details { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.6rem; text-align: right; vertical-align: top; overflow-wrap: normal; }
th { border-bottom: 1px solid var(--rule); } tr:hover td { background: var(--hover); }
.word { text-align: left; } .prose td { line-height: 1.4; }
.kept { color: var(--kept); font-weight: 600; }
.notes { color: var(--soft); font-size: 0.85rem; max-width: 60rem; padding-left: 1.2rem; }
summary { cursor: pointer; font-weight: 600; }
@media (max-width: 40rem) { body { margin: 1rem auto; } .wide svg { max-width: none; width: 44rem; } }
"""
_PLOTS = {
    "spectrum": (
        "Singular values of the dense table",
        "Weighted: rows scaled by the square root of their counts, so that each direction counts as much as running "
        "text uses it. Right: what the best approximation of each rank keeps.",
    ),
    "spectra": ("Singular values of every table", "Relative to the largest singular value of the dense table."),
    "error": ("Error by token frequency", "Squared error divided by the squared norm of the dense rows of each group."),
    "neighbours": ("Neighbours kept by token frequency", "Of the ten nearest words by cosine in the dense table."),
    "plane": (
        "Words on the first two principal components",
        "The vectors are the rows of the factor matrix in an orthonormal basis. Axes are oriented as for the dense "
        "table; other words that occur are grey.",
    ),
    "anisotropy": ("Anisotropy", "Mean cosine over all pairs: 0 if the vectors have no common direction."),
    "texts": (
        "Clusters of texts against their labels",
        "k-means on one vector per text; 0 means unrelated.",
    ),
}

PAGE, TABLES = "analysis.html", "analysis.md"
FORMATS = (".svg", ".png", ".pdf")


def write_analysis(analysis: Analysis, output: Path) -> None:
    """Write page, figures, tables and plots to a folder; an existing analysis there is replaced.

    Raises:
        OSError: If writing fails; an existing analysis is then untouched.
    """
    with replacing(output.absolute()) as folder:
        for name, figure in plots(analysis).items():
            for ending in FORMATS:
                save(figure, folder / f"{name}{ending}")
        drawn = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.svg")}
        documents = {PAGE: page(analysis, drawn), JSON_FILE: analysis.json(), TABLES: markdown(analysis)}
        for name, text in documents.items():
            (folder / name).write_text(text, encoding="utf-8")


def page(analysis: Analysis, drawn: Mapping[str, str]) -> str:
    """The HTML page; `drawn` holds the SVG documents by their names in `embfact.analysis.plots`."""
    title = f"{analysis.model}: what factorizations keep of its token table"
    first, *others = grids(analysis)
    body = [
        f"<h1>{escape(title)}</h1>",
        _grid(first),
        '<ul class="notes">' + "".join(f"<li>{escape(note)}</li>" for note in notes(analysis)) + "</ul>",
        *(_plot(name, drawn[name]) for name in _PLOTS if name in drawn),
        *map(_grid, others),
        _neighbours(analysis),
        *_clusters(analysis),
    ]
    screen = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f'<meta charset="utf-8">{screen}<title>{escape(title)}</title><style>{_STYLE}</style>'
    # No script runs and nothing is fetched, whatever a name contains.
    policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    return (
        f'<!doctype html>\n<html lang="en"><head>{policy}{head}</head><body>\n' + "\n".join(body) + "\n</body></html>\n"
    )


def _plot(name: str, svg: str) -> str:
    title, text = _PLOTS[name]
    # Without the XML prologue, which is invalid inside HTML.
    return f'<h2>{escape(title)}</h2><p>{escape(text)}</p><div class="wide">{svg[svg.index("<svg") :]}</div>'


def _grid(grid: Grid) -> str:
    head = "".join(_cell("th", name, column < grid.texts) for column, name in enumerate(grid.header))
    lines = ("".join(_cell("td", cell, column < grid.texts) for column, cell in enumerate(line)) for line in grid.lines)
    rows = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<h2>{escape(grid.title)}</h2><div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


def _cell(tag: str, text: str, word: bool) -> str:
    return f'<{tag} class="word">{escape(text)}</{tag}>' if word else f"<{tag}>{escape(text)}</{tag}>"


def _neighbours(analysis: Analysis) -> str:
    dense, *others = analysis.tables
    if not dense.neighbours:
        return ""
    parts = []
    for number, word in enumerate(dense.neighbours):
        rows = "".join(
            f'<tr><td class="word">{escape(table.name)}</td><td class="word">{_kept(table, dense, word)}</td></tr>'
            for table in [dense, *others]
        )
        state = " open" if number < 3 else ""
        parts.append(f'<details{state}><summary>{escape(word)}</summary><table class="prose">{rows}</table></details>')
    return "<h2>Neighbours of named words</h2><p>Nearest first; shared with the dense table in blue.</p>" + "".join(
        parts
    )


def _kept(table: TableFigures, dense: TableFigures, word: str) -> str:
    before = set(dense.neighbours[word])
    return ", ".join(
        f'<span class="kept">{escape(token)}</span>' if token in before else escape(token)
        for token in table.neighbours[word]
    )


def _clusters(analysis: Analysis) -> list[str]:
    words = (
        "k-means on the words that occur, normalized to unit length. The purest words are those closest to the centre "
        "of their cluster relative to the next nearest centre; the share is of all occurrences."
    )
    parts = [f"<h2>Clusters of tokens</h2><p>{escape(words)}</p>"]
    for number, table in enumerate(analysis.tables):
        rows = "".join(
            f"<tr><td>{one.size:,}</td><td>{100 * one.share:.1f} %</td>"
            f'<td class="word">{escape(", ".join(one.purest))}</td></tr>'
            for one in table.clusters
        )
        head = '<tr><th>words</th><th>share</th><th class="word">purest</th></tr>'
        state = "" if number else " open"
        parts.append(
            f"<details{state}><summary>{escape(table.name)}</summary>"
            f'<table class="prose">{head}{rows}</table></details>'
        )
    return parts
