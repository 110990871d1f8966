"""How often does the test of methods find a difference that is not there, and how often one that is?

    python benchmarks/false_positives.py            # 1,000 splits each: half a minute
    python benchmarks/false_positives.py --quick    # a few: shows that it works

20 real seeds of one method (tests/results/statistics/real_seeds.npz, which tells where they are from) are split at
random into two groups: whatever is found between them is false. benchmarks/coverage.py has simulations, and the power.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from side_by_side import table

from embfact.results.statistics.compare import compare
from embfact.results.statistics.outcomes import Outcomes
from embfact.results.statistics.resampling import Replicates, replicates

SEEDS = Path(__file__).resolve().parents[1] / "tests" / "results" / "statistics" / "real_seeds.npz"
SIZES = (3, 5, 10)
LEVEL = 0.05


def main() -> None:
    """Print a table, a line for each number of seeds in a group."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=1000, help="random splits of each kind")
    parser.add_argument("--quick", action="store_true", help="five splits")
    arguments = parser.parse_args()
    splits = 5 if arguments.quick else arguments.splits
    svd, dense = read()
    rows = []
    for size in SIZES:
        generator = np.random.default_rng(size)
        orders = [generator.permutation(20) for _ in range(splits)]
        groups = [(order[:size], order[size : 2 * size]) for order in orders]
        found = [
            *(rate([(part(one, a), part(one, b)) for a, b in groups]) for one in (svd, dense)),
            rate([(part(svd, a), part(dense, b)) for a, b in groups]),
        ]
        rows.append([size, *(f"{100 * share:.1f} %" for share in found)])
    gap = 100 * (dense.mean - svd.mean)
    head = ["seeds in each group", "svd r=64", "dense"]
    print(table([*head, f"finds svd r=64 against dense ({gap:.1f} points)"], rows))


def read() -> list[Replicates]:
    """What svd of rank 64 and the dense model said, with resamples of the examples."""
    with np.load(SEEDS) as kept:
        labels = kept["labels"].astype(np.int64)
        said = [kept[name].astype(np.int64) for name in ("svd", "none")]
    rows = [Outcomes(tuple(range(20)), np.arange(len(labels)), labels, predictions) for predictions in said]
    return replicates(rows, "accuracy")


def part(whole: Replicates, runs: np.ndarray) -> Replicates:
    """Some runs as seeds 0, 1, 2 and so on."""
    seeds = tuple(range(len(runs)))
    outcomes = replace(whole.outcomes, seeds=seeds, predictions=whole.outcomes.predictions[runs])
    return Replicates(outcomes, whole.metric, whole.values[runs], whole.drawn[runs])


def rate(pairs: list[tuple[Replicates, Replicates]]) -> float:
    """Share of pairs that are told apart."""
    p_values = [compare(one, other, 1 - LEVEL).p_value for one, other in pairs]
    return float(np.mean([p_value is not None and p_value < LEVEL for p_value in p_values]))


if __name__ == "__main__":
    main()
