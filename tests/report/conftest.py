"""A sweep on disk: dense, and svd at two ranks, of which the larger loses nothing; four seeds each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embfact.runs.record import write
from tests.helpers.sweeps import Sweep, simulate


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    made = Sweep(tmp_path / "runs")
    good = simulate(4, 800, np.random.default_rng(1), right=2.0)
    made.add(good, method="none", rank=None)
    made.add(simulate(4, 800, np.random.default_rng(2), right=0.5), method="svd", rank=32)
    made.add(good, method="svd", rank=128)
    for record in made.records:
        write(record, made.places[record.hash])
    return made
