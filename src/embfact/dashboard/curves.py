"""Learning curves of runs, thinned for a screen.

Light to import: the standard library only.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

FILE_NAME = "metrics.csv"  # what `embfact.learning_curve`, which imports torch, calls it
MOST_POINTS = 100
_AXES = ("epoch", "step")

Curve = tuple[list[int], list[float]]  # steps and values, equally many


def read_curves(directory: Path) -> dict[str, Curve]:
    """The curves of a run: ``train/loss``, ``selection/accuracy``.

    Args:
        directory: The run directory.

    Returns:
        Name -> at most `MOST_POINTS` points, evenly taken, the last one among them. Empty where there is no such file;
        a line that is being written, and what is no number, is passed over.
    """
    try:
        with (directory / FILE_NAME).open(encoding="utf-8", newline="") as file:
            header, *lines = csv.reader(file)
    except (OSError, ValueError, csv.Error):  # no file, an empty one or no text: a page without this curve
        return {}
    places = [place for place, name in enumerate(header) if name not in _AXES]
    # Thinned before they are read as numbers, which takes most of the time of 2,000 runs.
    return {header[place]: curve for place in places if (curve := _curve(lines, header, place))}


def _curve(lines: list[list[str]], header: list[str], place: int) -> Curve | None:
    """One column against the steps; None where nothing of it is a number."""
    at = header.index("step") if "step" in header else len(header)
    filled = [(line[at], line[place]) for line in lines if len(line) == len(header) > at and line[place]]
    stride = (len(filled) - 1) / (MOST_POINTS - 1)
    kept = filled if stride <= 1 else [filled[round(point * stride)] for point in range(MOST_POINTS)]
    points = [(int(step), value) for step, text in kept if step.isdecimal() and (value := _number(text)) is not None]
    return ([step for step, _ in points], [value for _, value in points]) if points else None


def _number(text: str) -> float | None:
    """A number with the digits that a screen shows."""
    try:
        value = float(text)
    except ValueError:
        return None
    return float(f"{value:.4g}") if math.isfinite(value) else None
