"""A table as LaTeX: booktabs rules, figures aligned by siunitx at the decimal point and at the ±.

Light to import: the standard library only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from embfact.results.table.cells import UNDEFINED
from embfact.results.table.grid import Cell, Grid, Heading

_APART = "\0"  # between two characters that would form a ligature: a dash, a quotation mark
_LIGATURES = re.compile(r"([-,'])(?=\1)")
_ESCAPED = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\char34{}",  # babel makes it active
    "±": r"$\pm$",
    "†": r"$\dagger$",
    UNDEFINED: "--",
    _APART: "{}",
}
# Non-ASCII characters that pdflatex prints by default; its default encoding lacks these Latin letters.
_MISSING = frozenset("«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")
_PRINTED = frozenset(map(chr, range(0xA1, 0x180))) - _MISSING | frozenset(
    "\u2013\u2014\u2018\u2019\u201c\u201d\u2020\u2021\u2022\u2026\u2030\u20ac\u2122"
)

# Characters per line: about what fits the text width of an article, and what is still legible scaled down.
_WIDE, _SIDEWAYS = 69, 140
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def latex(grid: Grid) -> str:
    """A floating table; a wide one is set smaller and scaled if necessary, a very wide one is rotated."""
    columns = [_Column(heading, [line[place] for line in grid.lines]) for place, heading in enumerate(grid.headings)]
    characters = sum(column.characters + 2 for column in columns)
    wide, float_ = characters > _WIDE, "sidewaystable" if characters > _SIDEWAYS else "table"
    small = r"\scriptsize" if wide else r"\footnotesize"
    packages = ["booktabs", "siunitx", "adjustbox", *["rotating"] * (characters > _SIDEWAYS)]
    notes = grid.notes[1:] if grid.caption == grid.notes[0].text else grid.notes
    lines = [
        rf"% needs \usepackage{{{','.join(packages)}}}",
        *_more_needed(grid),
        rf"\begin{{{float_}}}",
        r"\centering",
        r"\setlength{\abovecaptionskip}{0pt}\setlength{\belowcaptionskip}{6pt}",
        rf"\caption{{{running(grid.caption)}}}",
        *[rf"\label{{{grid.label}}}"] * bool(grid.label),
        r"\sisetup{detect-weight=true, mode=text}",
        *[r"\footnotesize\setlength{\tabcolsep}{4pt}"] * wide,
        r"\begin{adjustbox}{max width=\linewidth}",
        *_tabular(grid, columns),
        r"\end{adjustbox}",
        rf"\par\smallskip{small}\raggedright",
        *(rf"{_raised(note.mark)}{running(note.text)}\par" for note in notes),
        rf"\end{{{float_}}}",
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Column:
    """A column of the table, set as one LaTeX column, or as two with an aligned border."""

    heading: Heading
    cells: Sequence[Cell]

    @property
    def span(self) -> int:
        return 1 + (self.heading.kind in ("size", "figure") and any(map(_behind, self.cells)))

    @property
    def form(self) -> str:
        if self.heading.kind == "figure":
            return f"S[table-format={self._digits()}]" + "@{}l" * (self.span - 1)
        return "l" if self.heading.kind == "words" else "r" + r"@{\,}r" * (self.span - 1)

    @property
    def characters(self) -> int:
        return max(len(self.heading.words[-1]), *(len(cell.main + cell.rest) for cell in self.cells), 0)

    def tex(self, cell: Cell) -> str:
        """A cell, including the separator of its two parts."""
        main, behind = escape(cell.main), _behind(cell)
        if self.heading.kind in ("words", "count"):
            return main + behind
        if self.heading.kind == "size" and cell.rest:
            return f"{main} & {behind}"
        if self.heading.kind == "figure" and _NUMBER.fullmatch(cell.main):
            return (r"\bfseries " if cell.bold else "") + main + (f" & {behind}" if self.span > 1 else "")
        return _spanned(self.span, main + behind)

    def _digits(self) -> str:
        numbers = [cell.main for cell in self.cells if _NUMBER.fullmatch(cell.main)] or ["00.0"]
        sign = "-" if any(number.startswith("-") for number in numbers) else ""
        parts = [number.lstrip("-").partition(".") for number in numbers]
        return f"{sign}{max(len(whole) for whole, _, _ in parts)}.{max(len(behind) for _, _, behind in parts)}"


def _behind(cell: Cell) -> str:
    """The text after a figure."""
    rest = escape(cell.rest).replace(r"$\pm$ ", r"$\pm$\,")
    gap = r"\," if rest.startswith("$") else "~" if rest and cell.main[-1:].isdigit() else ""
    # If the cell refers to a note, that names the missing seeds.
    count = rf" {escape(cell.count.strip())}" if cell.count and not cell.marks else ""
    sign = rf"\textsuperscript{{{escape(cell.sign)}}}" if cell.sign else ""
    return gap + rest + count + sign + _raised(cell.marks)


def _more_needed(grid: Grid) -> Iterator[str]:
    """A comment on characters that pdflatex does not print by default."""
    cells = (part for line in grid.lines for cell in line for part in (cell.main, cell.rest))
    words = [grid.caption, *(heading.text for heading in grid.headings), *cells, *(note.text for note in grid.notes)]
    if found := unprinted(words):
        how = r"\usepackage[T1]{fontenc} for Latin letters, otherwise lualatex or xelatex with a suitable font"
        yield f"% needs more for {' '.join(found)}: {how}"


def _spanned(span: int, text: str) -> str:
    if not text:
        return " & " * (span - 1)
    return rf"\multicolumn{{{span}}}{{c}}{{{text}}}"


def _tabular(grid: Grid, columns: Sequence[_Column]) -> Iterator[str]:
    yield rf"\begin{{tabular}}{{@{{}}{''.join(column.form for column in columns)}@{{}}}}"
    yield r"\toprule"
    yield from _header(grid, columns)
    yield r"\midrule"
    yield from _body(grid, columns)
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _header(grid: Grid, columns: Sequence[_Column]) -> Iterator[str]:
    """The rows of headings; a heading of several columns has a rule below it."""
    starts = [1]
    for column in columns:
        starts.append(starts[-1] + column.span)
    *upper, lowest = grid.header
    for row in upper:
        spans = [(escape(word), starts[first], starts[last + 1] - starts[first]) for word, first, last in row]
        yield _row(_spanned(span, word) for word, _, span in spans)
        wide = [(starts[first], starts[last + 1] - 1) for word, first, last in row if word and last > first]
        yield from [" ".join(rf"\cmidrule(lr){{{first}-{last}}}" for first, last in wide)] * bool(wide)
    cells = []
    for column, (word, _, _) in zip(columns, lowest, strict=True):
        text = escape(word) + _raised(column.heading.marks)
        cells.append(text if column.form in ("l", "r") else _spanned(column.span, text))
    yield _row(cells)


def _body(grid: Grid, columns: Sequence[_Column]) -> Iterator[str]:
    for number, line in enumerate(grid.lines):
        previous = grid.lines[number - 1][0].main
        if number in grid.starts:
            yield r"\midrule"
        elif number and len(columns) > 1 and columns[1].heading.kind != "figure" and line[0].main == previous:
            line = (Cell(marks=line[0].marks), *line[1:])
        yield _row(column.tex(cell) for column, cell in zip(columns, line, strict=True))


def _row(cells: Iterable[str]) -> str:
    """A row, protected from the preceding rule or row, which would take a leading bracket or asterisk as argument."""
    row = " & ".join(cells) + r" \\"
    return "{}" + row if row.lstrip().startswith(("[", "*")) else row


def _raised(letters: str) -> str:
    return rf"\textsuperscript{{{letters}}}" if letters else ""


def escape(text: str) -> str:
    """Escaped text on one line, without invisible characters."""
    line = "".join(map(_visible, text))
    return "".join(_ESCAPED.get(character, character) for character in _LIGATURES.sub(rf"\1{_APART}", line))


def _visible(character: str) -> str:
    kind = unicodedata.category(character)
    return " " if kind in ("Cc", "Zs", "Zl", "Zp") else "" if kind in ("Cf", "Cs") else character


def unprinted(texts: Iterable[str]) -> list[str]:
    """The characters that pdflatex does not print by default."""
    return sorted({one for text in texts for one in map(_visible, text) if one > "~"} - _PRINTED - set(_ESCAPED))


def running(text: str) -> str:
    """Running text with line breaks allowed in paths and names."""
    return re.sub(r"(/|\\_|=)", r"\1\\allowbreak{}", escape(text))
