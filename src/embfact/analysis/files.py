"""An analysis as a folder of files, which appears whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from embfact.analysis.analyse import Analysis
from embfact.analysis.figures import TableFigures
from embfact.analysis.plots import pictures
from embfact.analysis.request import JSON_FILE
from embfact.analysis.summary import Grid, grids, markdown, notes
from embfact.results.plots.style import save
from embfact.system.atomic import replacing

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
p { max-width: 46rem; }
svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.6rem; text-align: right; vertical-align: top; }
th { border-bottom: 1px solid #999; } tr:hover td { background: #f3f6f9; }
.word { text-align: left; } .prose td { line-height: 1.4; }
.kept { color: #0072B2; font-weight: 600; }
.notes { color: #555; font-size: 0.85rem; max-width: 60rem; }
summary { cursor: pointer; font-weight: 600; }
"""
_PICTURES = {
    "spectrum": (
        "Singular values of the dense table",
        "Weighted: rows scaled by the root of their counts, which is what the tokens of running text use of the table. "
        "To the right what the best table of each rank keeps.",
    ),
    "spectra": ("Singular values of every table", "In units of the largest singular value of the dense table."),
    "error": ("What is lost, by frequency", "Squared error over the squared norm of the dense rows of each group."),
    "neighbours": ("Neighbours kept, by frequency", "Of the ten nearest words by cosine in the dense table."),
    "plane": (
        "Words on two principal components",
        "Of the vectors that the factors give: the rows of the factor matrix, in an orthonormal basis. Axes point as "
        "those of the dense table; in grey other words that occur.",
    ),
    "anisotropy": ("Anisotropy", "Mean cosine over all pairs: 0 where vectors have no common direction."),
    "texts": (
        "Texts in clusters, against their labels",
        "k-means on one vector a text; 0 is what unrelated clusters get.",
    ),
}

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


def page(analysis: Analysis, pictures: Mapping[str, str]) -> str:
    """The page.

    Args:
        analysis: The figures.
        pictures: SVG documents by the names that `embfact.analysis.plots` gives them.
    """
    title = f"{analysis.model}: what factorizations leave of its token table"
    first, *others = grids(analysis)
    drawn = [_picture(name, pictures[name]) for name in _PICTURES if name in pictures]
    body = [
        f"<h1>{escape(title)}</h1>",
        _grid(first),
        '<ul class="notes">' + "".join(f"<li>{escape(note)}</li>" for note in notes(analysis)) + "</ul>",
        *drawn,
        *map(_grid, others),
        _neighbours(analysis),
        *_clusters(analysis),
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    # No script runs and nothing is fetched, whatever a name holds.
    policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    return (
        f'<!doctype html>\n<html lang="en"><head>{policy}{head}</head><body>\n' + "\n".join(body) + "\n</body></html>\n"
    )


def _picture(name: str, svg: str) -> str:
    title, words = _PICTURES[name]
    # The prologue of a document of its own has no place inside another one.
    return f"<h2>{escape(title)}</h2><p>{escape(words)}</p>{svg[svg.index('<svg') :]}"


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
    words = "The nearest first; those of the dense table in colour."
    return f"<h2>Neighbours of named words</h2><p>{words}</p>" + "".join(parts)


def _kept(table: TableFigures, dense: TableFigures, word: str) -> str:
    before = set(dense.neighbours[word])
    return ", ".join(
        f'<span class="kept">{escape(token)}</span>' if token in before else escape(token)
        for token in table.neighbours[word]
    )


def _clusters(analysis: Analysis) -> list[str]:
    words = (
        "k-means on the words that occur, at length one. Shown are the words that are nearest to the centre of their "
        "cluster in relation to the next one; the share is of all occurrences."
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
