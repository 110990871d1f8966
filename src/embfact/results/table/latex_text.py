"""Text as LaTeX prints it, whatever is in it.

Light to import: the standard library only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from embfact.results.table.cells import UNDEFINED

_APART = "\0"  # between two characters that would become one: a dash, a quotation mark
_LIGATURES = re.compile(r"([-,'])(?=\1)")
_ESCAPED = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\char34{}",  # babel makes commands of it
    "±": r"$\pm$",
    "†": r"$\dagger$",
    UNDEFINED: "--",
    _APART: "{}",
}
# What pdflatex prints without more ado of what is no ASCII; of Latin letters these are missing from its usual encoding.
_MISSING = frozenset("«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")
_PRINTED = frozenset(map(chr, range(0xA1, 0x180))) - _MISSING | frozenset(
    "\u2013\u2014\u2018\u2019\u201c\u201d\u2020\u2021\u2022\u2026\u2030\u20ac\u2122"
)


def escape(text: str) -> str:
    """Text as LaTeX prints it, on one line; what is invisible is left out."""
    line = "".join(map(_visible, text))
    return "".join(_ESCAPED.get(character, character) for character in _LIGATURES.sub(rf"\1{_APART}", line))


def _visible(character: str) -> str:
    kind = unicodedata.category(character)
    return " " if kind in ("Cc", "Zs", "Zl", "Zp") else "" if kind in ("Cf", "Cs") else character


def unprinted(texts: Iterable[str]) -> list[str]:
    """The characters of some texts that pdflatex does not print as a document usually is."""
    return sorted({one for text in texts for one in map(_visible, text) if one > "~"} - _PRINTED - set(_ESCAPED))


def running(text: str) -> str:
    """Running text, whose paths and names may be broken across lines."""
    return re.sub(r"(/|\\_|=)", r"\1\\allowbreak{}", escape(text))
