"""``metrics.csv``: the learning curve of a run; imports the standard library only."""

from __future__ import annotations

import csv
from pathlib import Path

FILE_NAME = "metrics.csv"
_AXES = ("epoch", "step")


def read_curves(directory: Path) -> dict[str, list[tuple[str, str]]]:
    """Read the learning curve of a run directory.

    Returns:
        Column (``train/loss``, ``selection/accuracy``) -> step and value, as text, of each line that has one. Empty if
        the file is missing or unreadable; truncated lines are skipped.
    """
    try:
        with (directory / FILE_NAME).open(encoding="utf-8", newline="") as file:
            header, *lines = csv.reader(file)
    except (OSError, ValueError, csv.Error):
        return {}
    if "step" not in header:
        return {}
    at, whole = header.index("step"), [line for line in lines if len(line) == len(header)]
    places = [place for place, name in enumerate(header) if name not in _AXES]
    return {header[place]: [(line[at], line[place]) for line in whole if line[place]] for place in places}
