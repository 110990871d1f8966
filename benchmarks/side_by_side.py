"""What all benchmarks share: ways that are measured in turn, the speed of the machine beside each, and a table.

Absolute times say little on a machine whose speed drifts; so ways take turns, and what counts are the ratios within a
round.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TypeVar

from embfact.system.cores import usable_cores

ROUNDS = 3  # fewer measurements have no median worth its name
CONF = Path(__file__).resolve().parents[1] / "conf"


def repeats(text: str) -> int:
    """A number of measurements, from a command line.

    Raises:
        ArgumentTypeError: If it is none, or too small for a median.
    """
    if not text.isdecimal() or int(text) < ROUNDS:
        raise argparse.ArgumentTypeError(f"must be {ROUNDS} or more, for a median (found {text})")
    return int(text)


def machine() -> str:
    """Where it was measured, with what, and what else the machine did."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "pytorch-lightning"))
    return f"{usable_cores()} cores ({cpu}), {packages}, load at the start {os.getloadavg()[0]:.1f}"


def gemm_speed(repeats: int = 20) -> float:
    """GFLOP/s of a float32 product of 512 x 384 and 384 x 1536 at the present number of threads, the median of some."""
    import torch

    left, right, out = torch.randn(512, 384), torch.randn(384, 1536), torch.empty(512, 1536)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(left, right, out=out)
        seconds.append(time.perf_counter() - start)
    return 2 * 512 * 384 * 1536 / median(seconds) / 1e9


T = TypeVar("T")


def in_turn(ways: Mapping[str, Callable[[], T]], rounds: int = ROUNDS) -> dict[str, list[T]]:
    """Measure every way once a round, A B C A B C, so that all of them meet the same drift.

    Args:
        ways: What to call, by name.
        rounds: How often.

    Returns:
        What each call gave, in the order of the rounds.
    """
    found: dict[str, list[T]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measure in ways.items():
            found[name].append(measure())
    return found


def ratio(values: Sequence[float], reference: Sequence[float]) -> float:
    """Median of the ratios within each round."""
    return median(value / other for value, other in zip(values, reference, strict=True))


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table, its first column to the left and the others to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
