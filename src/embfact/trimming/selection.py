"""Which tokens to keep: by a script, by counts, by a size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import regex

from embfact.errors import ConfigError, ErrorDetail
from embfact.trimming.tokenizer import Tokenizer


@dataclass(frozen=True)
class Criteria:
    """What a token has to meet; None asks for nothing.

    Attributes:
        size: Tokens to keep in all, exactly.
        min_count: Least number of occurrences in the counted texts.
        scripts: Unicode scripts, e.g. ``("Latin", "Greek")``; digits, punctuation and accents belong to all of them.
        size_option: What messages call the size.
    """

    size: int | None = None
    min_count: int | None = None
    scripts: tuple[str, ...] = ()
    size_option: str = "size"

    def errors(self) -> list[ErrorDetail]:
        """What is wrong with them."""
        found = []
        if self == Criteria():
            found.append(ErrorDetail("nothing says which tokens to keep", "", "give size=, min_count= or script="))
        for name in self.scripts:
            try:
                regex.compile(rf"\p{{Script={name}}}")
            except regex.error:
                remedy = "use names of Unicode, such as Latin, Cyrillic, Greek, Arabic, Han"
                found.append(ErrorDetail(f"there is no script {name!r}", f"script={'+'.join(self.scripts)}", remedy))
        return found

    def in_scripts(self) -> Callable[[str | None], bool]:
        """A test for texts; a part of a character is in no script."""
        if not self.scripts:
            return lambda text: True
        names = "".join(rf"\p{{Script={name}}}" for name in (*self.scripts, "Common", "Inherited"))
        pattern = regex.compile(f"[{names}]*")
        return lambda text: text is not None and pattern.fullmatch(text) is not None


def scripts_of(text: str | None) -> tuple[str, ...]:
    """The scripts in an option: ``Latin``, ``Latin+Greek``."""
    return tuple(filter(None, (text or "").split("+")))


def select(
    tokenizer: Tokenizer, counts: Sequence[float], criteria: Criteria, also: Collection[int] = ()
) -> tuple[set[int], int]:
    """Choose the tokens to keep.

    Kept whatever the criteria: added tokens, those around a text, the unknown token, bytes, and every letter of the
    scripts, so that any text can still be spelled. Then tokens follow from the most to the least frequent, ties in the
    order of their ids, each with the tokens that it is built of. A token that needs more of them than there is room for
    lets later ones pass.

    Args:
        tokenizer: The tokenizer.
        counts: Occurrences of each id, at least as long as the largest id.
        criteria: What to keep.
        also: Ids to keep besides.

    Returns:
        Ids to keep, and how many of them are kept whatever the criteria.

    Raises:
        ConfigError: If there are more tokens that have to stay, or fewer that meet the other criteria, than the size.
    """
    vocabulary, fits = tokenizer.vocabulary, criteria.in_scripts()
    usable = {piece: number for piece, number in vocabulary.ids.items() if fits(vocabulary.text(piece))}
    kept = vocabulary.own() | tokenizer.fixed | set(also) & tokenizer.tokens.keys()
    kept |= {number for piece, number in usable.items() if len(vocabulary.letters(piece)) == 1}
    kept |= {number for piece, number in usable.items() if vocabulary.must_stay(piece)}
    needed, size = len(kept), criteria.size
    if size is not None and not needed <= size < len(tokenizer):
        raise ConfigError([_size_error(criteria, size, needed, len(tokenizer))])
    wanted = [piece for piece, number in usable.items() if counts[number] >= (criteria.min_count or 0)]
    waiting = sorted(wanted, key=lambda piece: (-counts[usable[piece]], usable[piece]))
    room = len(tokenizer) if size is None else size
    before = -1
    while len(kept) != before:
        before, waiting = len(kept), _fill(tokenizer, kept, waiting, room)
    if size is not None and len(kept) < size:
        what, option = f"only {len(kept):,} tokens meet the other criteria", criteria.size_option
        raise ConfigError([ErrorDetail(what, f"{option}={size}", f"use {option}={len(kept)}")])
    return kept, needed


def _fill(tokenizer: Tokenizer, kept: set[int], waiting: list[str], room: int) -> list[str]:
    """Keep pieces with their parts while there is room; returns those for which there was too little."""
    left: list[str] = []
    for place, piece in enumerate(waiting):
        if len(kept) == room:
            return left + waiting[place:]
        if tokenizer.vocabulary.ids[piece] in kept:
            continue
        new = tokenizer.vocabulary.parts(piece) - kept
        if len(kept) + len(new) <= room:
            kept |= new
        else:
            left.append(piece)
    return left


def _size_error(criteria: Criteria, size: int, needed: int, tokens: int) -> ErrorDetail:
    found = f"{criteria.size_option}={size}"
    if size >= tokens:
        return ErrorDetail(f"the tokenizer has only {tokens:,} tokens", found, "use a smaller size")
    what = f"{needed:,} tokens have to stay, so that any text can be spelled"
    remedy = f"use {criteria.size_option}={needed} or more, or name scripts to drop the letters of others"
    return ErrorDetail(what, found, remedy)
