"""A table as aligned Markdown, which is also the terminal output.

Light to import: the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import TextWrapper

from embfact.formatting.markdown import aligned, escape
from embfact.results.table.grid import Cell, Grid, Heading, Note

_RAISED = str.maketrans("abcdefghijklmnoprstuvwxyz", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ")


def markdown(grid: Grid, width: int | None = None) -> str:
    """The table with figures aligned at the decimal point, and its notes as a list, wrapped to a width if given."""
    title = [escape(grid.caption), ""] if grid.caption != grid.notes[0].text else []
    return "\n".join([*title, *table_of(grid), "", *notes_of(grid.notes, width)]) + "\n"


def table_of(grid: Grid) -> list[str]:
    """The lines of the table itself."""
    columns = [_column(heading, [line[place] for line in grid.lines]) for place, heading in enumerate(grid.headings)]
    header, *lines = zip(*columns, strict=True)
    return aligned(header, lines, sum(heading.kind == "words" for heading in grid.headings))


def notes_of(notes: Iterable[Note], width: int | None = None) -> list[str]:
    """The notes as list items, wrapped to a width if given."""
    items = [f"- {f'{_raised(note.mark)} ' if note.mark else ''}{escape(note.text)}" for note in notes]
    if width is None:
        return items
    # Paths and options are copied: they stay whole.
    wrapper = TextWrapper(width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return [line for item in items for line in wrapper.wrap(item)]


def _column(heading: Heading, cells: Sequence[Cell]) -> list[str]:
    """Heading and cells of a column, with figures padded so that the text after them is aligned too."""
    title = escape(heading.text) + _raised(heading.marks)
    if heading.kind != "figure":
        return [title, *(_joined(escape(cell.main), cell) for cell in cells)]
    bold = any(cell.bold for cell in cells)
    mains = [f"{cell.count}**{cell.main}**" if cell.bold else cell.count + cell.main + "  " * bold for cell in cells]
    rests = [_joined("", cell) for cell in cells]
    width = max(map(len, rests))
    return [title, *(main + rest.ljust(width) for main, rest in zip(mains, rests, strict=True))]


def _joined(main: str, cell: Cell) -> str:
    return main + (f" {cell.rest}" if cell.rest else "") + cell.sign.replace("*", r"\*") + _raised(cell.marks)


def _raised(letters: str) -> str:
    return letters.translate(_RAISED)
