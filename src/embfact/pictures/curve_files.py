"""Learning curves of runs, read from the files that they left.

Light to import: numpy.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

# As `embfact.learning_curve` calls it, which is heavy to import.
FILE_NAME = "metrics.csv"
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
    points: dict[str, list[tuple[float, float]]] = {}
    try:
        with (run / FILE_NAME).open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                step = _number(line.get("step"))
                for name, text in line.items():
                    if "/" in (name or "") and math.isfinite(value := _number(text)) and math.isfinite(step):
                        points.setdefault(name, []).append((step, value))
    except FileNotFoundError:
        return {}
    return {name: (np.array(found)[:, 0], np.array(found)[:, 1]) for name, found in points.items()}


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


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
