"""Which of the processes of a training this one is, as its environment says."""

from __future__ import annotations

import os

RANK, WORLD = "EMBFACT_RANK", "EMBFACT_WORLD_SIZE"


def rank() -> int:
    """The number of this process among those of its training; 0 where it trains alone."""
    return int(os.environ.get(RANK, "0"))


def world_size() -> int:
    """Processes of the training of this process; 1 where it trains alone."""
    return int(os.environ.get(WORLD, "1"))
