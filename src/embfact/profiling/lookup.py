"""The time of a lookup, on the machine it is measured on."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from embfact.profiling.report import LOOKUP_TOKENS

REPEATS = 5
LEAST_SECONDS = 0.01  # of a repetition: long beside the resolution of any clock


@torch.no_grad()
def lookup_microseconds(lookup: Callable[[torch.Tensor], torch.Tensor], vocab_size: int, device: torch.device) -> float:
    """Microseconds in which an embedding looks up a text of `LOOKUP_TOKENS` tokens, the fastest of several repetitions.

    The fastest one is the least disturbed by other work on the machine. Tokens are drawn uniformly, so that few rows
    are in the cache of the processor; the random numbers of a run stay as they are.
    """
    ids = torch.randint(vocab_size, (16, LOOKUP_TOKENS), generator=torch.Generator().manual_seed(0)).to(device)
    lookup(ids[0])  # what is decoded once is decoded now
    return 1e6 * min(_seconds(lookup, ids, device) for _ in range(REPEATS))


def _seconds(lookup: Callable[[torch.Tensor], torch.Tensor], ids: torch.Tensor, device: torch.device) -> float:
    """Mean seconds of a lookup over as many as take `LEAST_SECONDS`."""
    done, start, passed = 0, _now(device), 0.0
    while passed < LEAST_SECONDS:
        for text in ids:
            lookup(text)
        done += len(ids)
        passed = _now(device) - start
    return passed / done


def _now(device: torch.device) -> float:
    if device.type != "cpu":
        torch.get_device_module(device).synchronize()
    return time.perf_counter()
