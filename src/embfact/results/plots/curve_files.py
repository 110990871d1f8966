"""Learning curves of runs, read from the files that they left.

Light to import: numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from embfact.runs.curve import read_curves

LOSS = "train/loss"
_SHOWN = 20  # points of a curve; single batches are noise


def read_curve(run: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The learning curve of a run.

    Args:
        run: The run directory.

    Returns:
        Column of the file -> steps and values (both of shape (n,)); empty if there is no file. Lines that were cut
        off and values that are no number are passed over.
    """
    found = {}
    for name, column in read_curves(run).items():
        points = [(_number(step), _number(text)) for step, text in column]
        if whole := [point for point in points if all(map(math.isfinite, point))]:
            steps, values = np.array(whole).T
            found[name] = steps, values
    return found


def averaged(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Mean and deviation of one curve over seeds, as far as every seed goes.

    Args:
        curves: Steps and values of each seed. The n-th value of one is averaged with the n-th of the others: batches
            of equal tokens give seeds epochs of slightly different length.

    Returns:
        Steps, means, sample standard deviations (0 for one seed), each of shape (points,); and how many neighbours in
        time were averaged to a point.
    """
    length = min(len(steps) for steps, _ in curves)
    width = -(-length // _SHOWN)
    # Parts of nearly one width: single values beside means would look like a training that becomes restless.
    parts = np.array_split(np.arange(length), length // width)
    steps = np.mean([[seen[part].mean() for part in parts] for seen, _ in curves], axis=0)
    values = np.array([[logged[part].mean() for part in parts] for _, logged in curves])
    deviations = values.std(0, ddof=1) if len(curves) > 1 else np.zeros_like(steps)
    return steps, values.mean(0), deviations, len(parts[0])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
