"""A table as a self-contained HTML page with all text escaped.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from embfact.results.table.grid import Cell, Grid, Heading

_STYLE = """\
:root { color-scheme: light dark; --ink: #111; --paper: #fff; --rule: #999; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --paper: #14181d; --rule: #5b6470; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
caption { text-align: left; padding-bottom: .6rem; max-width: min(60rem, calc(100vw - 4rem)); overflow-wrap: anywhere; }
td { font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; white-space: nowrap; }
th { font-weight: 600; }
thead th[colspan] { text-align: center; }
.words { text-align: left; }
thead tr:last-child th { border-bottom: 1px solid; }
tr.start td { border-top: 1px solid var(--rule); }
.notes { list-style: none; padding: 0; font-size: 13px; max-width: 60rem; overflow-wrap: anywhere; }
sup { line-height: 0; }
@media (max-width: 40rem) {
  body { margin: .7rem; font-size: 14px; }
  th, td { padding: .15rem .4rem; }
  caption { max-width: calc(100vw - 1.4rem); }
}
"""


def html(grid: Grid) -> str:
    """A page with the table, its caption and its notes."""
    notes = grid.notes[1:] if grid.caption == grid.notes[0].text else grid.notes
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(grid.caption[:80])}</title>",
        f"<style>\n{_STYLE}</style>",
        f'<div class="wide"><table id="{escape(grid.label)}">',
        f"<caption>{escape(grid.caption)}</caption>",
        "<thead>",
        *_header(grid),
        "</thead>",
        "<tbody>",
        *_body(grid),
        "</tbody>",
        "</table></div>",
        '<ul class="notes">',
        *(f"<li>{_raised(note.mark)}{escape(note.text)}</li>" for note in notes),
        "</ul>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def _header(grid: Grid) -> Iterator[str]:
    *upper, lowest = grid.header
    for row in upper:
        spans = [(word, f' colspan="{last - first + 1}"' if last > first else "") for word, first, last in row]
        yield f"<tr>{''.join(f'<th{span}>{escape(word)}</th>' for word, span in spans)}</tr>"
    cells = [
        f"<th{_kind(heading)}>{escape(word)}{_raised(heading.marks)}</th>"
        for heading, (word, _, _) in zip(grid.headings, lowest, strict=True)
    ]
    yield f"<tr>{''.join(cells)}</tr>"


def _body(grid: Grid) -> Iterator[str]:
    for number, line in enumerate(grid.lines):
        start = ' class="start"' if number in grid.starts else ""
        cells = [f"<td{_kind(head)}>{_cell(cell)}</td>" for head, cell in zip(grid.headings, line, strict=True)]
        yield f"<tr{start}>{''.join(cells)}</tr>"


def _kind(heading: Heading) -> str:
    return ' class="words"' if heading.kind == "words" else ""


def _cell(cell: Cell) -> str:
    main = f"<b>{escape(cell.main)}</b>" if cell.bold else escape(cell.main)
    rest = f" {escape(cell.rest)}" if cell.rest else ""
    return f"{escape(cell.count)}{main}{rest}{_raised(cell.sign)}{_raised(cell.marks)}"


def _raised(letters: str) -> str:
    return f"<sup>{escape(letters)}</sup>" if letters else ""
