"""The rank of this process in a distributed training, from the environment."""

from __future__ import annotations

import os

RANK, WORLD = "EMBFACT_RANK", "EMBFACT_WORLD_SIZE"


def rank() -> int:
    """The rank of this process; 0 if it trains alone."""
    return int(os.environ.get(RANK, "0"))


def world_size() -> int:
    """The number of processes of this training; 1 if this one trains alone."""
    return int(os.environ.get(WORLD, "1"))
