"""``metrics.csv``: the learning curve of a run; imports the standard library only."""

from __future__ import annotations

import csv
import math
from pathlib import Path

FILE_NAME = "metrics.csv"
_AXES = ("epoch", "step")

Curve = tuple[list[int], list[float]]


def read_curves(directory: Path, most: int | None = None) -> dict[str, Curve]:
    """The learning curves of a run.

    Args:
        directory: The run directory.
        most: Number of points to thin a curve to, evenly and with both ends; None keeps all.

    Returns:
        Name (``train/loss``, ``selection/accuracy``) -> steps and values. Incomplete lines and values that are not
        finite numbers are skipped; empty without a readable file.
    """
    try:
        with (directory / FILE_NAME).open(encoding="utf-8", newline="") as file:
            header, *lines = csv.reader(file)
    except (OSError, ValueError, csv.Error):
        return {}
    if "step" not in header:
        return {}
    at, complete = header.index("step"), [line for line in lines if len(line) == len(header)]
    curves = {}
    for place, name in enumerate(header):
        if name in _AXES:
            continue
        points = [(line[at], line[place]) for line in complete if line[place]]
        if most and len(points) > most:  # before parsing, which takes most of the time for 2,000 runs
            stride = (len(points) - 1) / (most - 1)
            points = [points[round(point * stride)] for point in range(most)]
        numbers = [(int(step), _number(text)) for step, text in points if step.isdecimal()]
        if finite := [point for point in numbers if math.isfinite(point[1])]:
            curves[name] = [step for step, _ in finite], [value for _, value in finite]
    return curves


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
