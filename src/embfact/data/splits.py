"""Which rows are trained on, selected on and reported on."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from embfact.data.rows import TEXT_COLUMNS
from embfact.errors import DataError


def hold_out(
    rows: pa.Table, size: int | float, seed: int, *, whole_sentences: bool = False, groups: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the training rows to select on, so that no text is on both sides.

    Args:
        rows: Checked training rows.
        size: Number of rows, or their share if below 1; 0 holds out none. Counts sentences with ``whole_sentences``.
        seed: Seed of the draw.
        whole_sentences: Hold out whole sentences with their phrases, and select on the sentences alone: they are
            like what is reported; phrases are shorter, and those of one sentence say much the same.
        groups: Group of each row; rows of a group stay together. None: equal texts do.

    Returns:
        Boolean masks of shape ``(rows,)``: the rows not to train on, and those of them to select on.

    Raises:
        DataError: If that would leave nothing to train on.
    """
    if not size:
        none = np.zeros(rows.num_rows, dtype=bool)
        return none, none
    random = _generator(seed, "selection")
    if whole_sentences:
        held_out, selection = _whole_sentences(_texts(rows), size, random)
    else:
        wanted = _count(size, rows.num_rows, "training rows")
        held_out = selection = _whole_groups(_texts(rows) if groups is None else groups, wanted, random)
    if held_out.all() or not selection.any():
        raise DataError(
            f"data.selection_size={size} cannot be held out of {rows.num_rows} training rows without equal texts on "
            "both sides; choose another size"
        )
    return held_out, selection


def reported(rows: pa.Table, reports: Iterable[pa.Table]) -> np.ndarray:
    """Boolean mask of the rows whose text (or pair) is in a reported split too, whatever its case and spaces."""
    seen = {text for report in reports for text in _texts(report)}
    return np.array([text in seen for text in _texts(rows)], dtype=bool)


def draw(rows: pa.Table, size: int | None, seed: int, *, option: str, split: str, words: str = "") -> pa.Table:
    """A fixed sample of rows, in their order.

    Args:
        rows: The rows to draw from.
        size: Sample size; None for all.
        seed: Seed of the draw.
        option: The option that gave the size, for the message.
        split: The split of the rows, which decides the draw together with the seed.
        words: Name of the rows in the message; the split if empty.

    Raises:
        DataError: If there are not enough rows.
    """
    if size is None:
        return rows
    if size > rows.num_rows:
        raise DataError(
            f"{option}={size} is more than the {rows.num_rows} rows of {words or split}; use at most {rows.num_rows}"
        )
    chosen = _generator(seed, split).choice(rows.num_rows, size, replace=False)
    return rows.take(pa.array(np.sort(chosen)))


def _generator(seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def _count(size: int | float, total: int, what: str) -> int:
    wanted = max(1, round(size * total)) if isinstance(size, float) else size
    if wanted >= total:
        raise DataError(f"data.selection_size={size} leaves none of the {total} {what}; hold out fewer")
    return wanted


def _texts(rows: pa.Table) -> list[str]:
    """Each row's text (or pair) without differences in case and spaces."""
    columns = [rows.column(name).to_pylist() for name in TEXT_COLUMNS if name in rows.column_names]
    return ["\t".join(" ".join(text.lower().split()) for text in row) for row in zip(*columns, strict=True)]


def _whole_groups(groups: Sequence[str], wanted: int, random: np.random.Generator) -> np.ndarray:
    """Rows of a group are drawn together; a group too large for the remaining number is skipped."""
    _, group, sizes = np.unique(np.array(groups, dtype=object), return_inverse=True, return_counts=True)
    chosen = np.zeros(len(sizes), dtype=bool)
    for candidate in random.permutation(len(sizes)):
        if sizes[candidate] <= wanted:
            chosen[candidate] = True
            wanted -= sizes[candidate]
        if not wanted:
            break
    return chosen[group]


def _whole_sentences(
    texts: Sequence[str], size: int | float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are part of drawn sentences only, so that none is part of a training row; and the drawn sentences."""
    containing = containing_sentences(texts)
    whole = sorted({sentence for sentences in containing for sentence in sentences})
    drawn = set(random.permutation(whole)[: _count(size, len(whole), "whole sentences")].tolist())
    held_out = np.array([drawn.issuperset(sentences) for sentences in containing])
    return held_out, np.isin(np.arange(len(texts)), list(drawn))


def containing_sentences(texts: Sequence[str]) -> list[list[int]]:
    """The whole sentences that each text is part of.

    A text is part of another if its tokens (between spaces) are a run of the other's tokens. Texts that are not part of
    a longer text are the whole sentences.

    Args:
        texts: One text per row, tokens between single spaces; equal texts are one text.

    Returns:
        For each row the rows of the whole sentences that contain it, ascending (a whole sentence contains itself; the
        first of equal texts represents all).
    """
    first_row: dict[str, int] = {}
    for row, text in enumerate(texts):
        first_row.setdefault(text, row)
    lengths = {text: text.count(" ") + 1 for text in first_row}
    containing: dict[str, set[int]] = {text: set() for text in first_row}
    # Longest first: whatever contains a text was seen before it, so an unmarked text is a whole sentence.
    for text in sorted(first_row, key=lengths.__getitem__, reverse=True):
        if not containing[text]:
            for run in _runs(text):
                if run in containing:
                    containing[run].add(first_row[text])
    return [sorted(containing[text]) for text in texts]


def _runs(text: str) -> set[str]:
    """Every run of tokens of a text, including itself."""
    starts = [0, *(place + 1 for place, character in enumerate(text) if character == " ")]
    ends = [*(start - 1 for start in starts[1:]), len(text)]
    return {text[start:end] for first, start in enumerate(starts) for end in ends[first:]}
