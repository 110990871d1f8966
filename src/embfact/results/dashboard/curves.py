"""Learning curves of runs, thinned for a screen.

Light to import: the standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from embfact.runs import curve

MOST_POINTS = 100

Curve = tuple[list[int], list[float]]  # steps and values, equally many


def read_curves(directory: Path) -> dict[str, Curve]:
    """The curves of a run: ``train/loss``, ``selection/accuracy``.

    Args:
        directory: The run directory.

    Returns:
        Name -> at most `MOST_POINTS` points, evenly taken, the last one among them. Empty where there is no such file;
        a line that is being written, and what is no number, is passed over.
    """
    # Thinned before they are read as numbers, which takes most of the time of 2,000 runs.
    thinned = {name: _curve(filled) for name, filled in curve.read_curves(directory).items()}
    return {name: found for name, found in thinned.items() if found}


def _curve(filled: Sequence[tuple[str, str]]) -> Curve | None:
    """One column against the steps; None where nothing of it is a number."""
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
