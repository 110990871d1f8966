"""Real runs of 20 seeds, and sweeps made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embfact.results.statistics.outcomes import Outcomes
from tests.helpers.sweeps import Sweep


@pytest.fixture(scope="session")
def real_seeds() -> dict[str, Outcomes]:
    """Method -> what its 20 seeds said (see `make_real_seeds`): the dense model and svd of rank 64."""
    with np.load(Path(__file__).with_name("real_seeds.npz")) as kept:
        labels = kept["labels"].astype(np.int64)
        ids = np.arange(len(labels))
        return {
            method: Outcomes(tuple(range(20)), ids, labels, kept[method].astype(np.int64)) for method in ("none", "svd")
        }


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """A sweep without runs."""
    return Sweep(tmp_path / "runs")
