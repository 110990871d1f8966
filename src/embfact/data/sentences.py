"""Which sentences contain a row: SST-2's training rows are mostly phrases cut from other rows."""

from __future__ import annotations

from collections.abc import Sequence


def containing_sentences(texts: Sequence[str]) -> list[list[int]]:
    """The whole sentences that each text is a part of.

    A text is part of another if its tokens (between spaces) are a run of the other's tokens. Texts that are part of no
    longer text are the whole sentences.

    Args:
        texts: One text a row, tokens between single spaces; equal texts are one text.

    Returns:
        For each row the rows of the whole sentences that contain it (a whole sentence contains itself; of equal texts
        the first stands for all), ascending.
    """
    first_row: dict[str, int] = {}
    for row, text in enumerate(texts):
        first_row.setdefault(text, row)
    lengths = {text: text.count(" ") + 1 for text in first_row}
    containing: dict[str, set[int]] = {text: set() for text in first_row}
    # Longest first: whatever contains a text has been seen before it, so an unmarked text is a whole sentence.
    for text in sorted(first_row, key=lengths.__getitem__, reverse=True):
        if not containing[text]:
            for run in _runs(text):
                if run in containing:
                    containing[run].add(first_row[text])
    return [sorted(containing[text]) for text in texts]


def _runs(text: str) -> set[str]:
    """Every run of tokens of a text, itself included."""
    starts = [0, *(place + 1 for place, character in enumerate(text) if character == " ")]
    ends = [*(start - 1 for start in starts[1:]), len(text)]
    return {text[start:end] for first, start in enumerate(starts) for end in ends[first:]}
