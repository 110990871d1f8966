"""Sweeps to draw."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from embfact.results.result_table import ResultTable
from tests.helpers.pictures import write_sweep


@pytest.fixture
def sweep(tmp_path: Path) -> Callable[..., ResultTable]:
    """A maker of sweeps on disk: see `write_sweep`."""
    return partial(write_sweep, tmp_path)
