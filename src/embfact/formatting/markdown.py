"""Plain Markdown tables, also for the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence


def markdown_grid(header: Sequence[str], lines: Sequence[Sequence[str]], texts: int) -> list[str]:
    """The lines of an aligned Markdown table: ``texts`` columns of text, then figures, aligned to the right."""
    return aligned([escape(cell) for cell in header], [[escape(cell) for cell in line] for line in lines], texts)


def aligned(header: Sequence[str], lines: Sequence[Sequence[str]], texts: int) -> list[str]:
    """The lines of an aligned Markdown table whose cells are escaped already; see `markdown_grid`."""
    cells = [header, *lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * width if column < texts else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    aligned = [
        [cell.ljust(width) if column < texts else cell.rjust(width) for column, (cell, width) in enumerate(pairs)]
        for pairs in (list(zip(line, widths, strict=True)) for line in cells)
    ]
    return ["| " + " | ".join(line) + " |" for line in [aligned[0], rule, *aligned[1:]]]


def escape(text: str) -> str:
    """Text on one line that cannot end a cell."""
    line = " ".join(text.splitlines())
    # A backslash before a bar would escape the added one.
    return re.sub(r"(\\*)\|", r"\1\1\|", line)
