"""Makes ``real_seeds.npz``: what 20 seeds of two methods said of the test rows of ``data=vader``.

The runs: ``python train.py data=vader experiment_name=seeds factorization=svd rank=64 seed=0,1,...,19 -m`` (which
trains the dense baseline too). The file: ``python tests/results/statistics/make_real_seeds.py outputs/seeds``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from embfact.results.collect import find_records
from embfact.results.result_table import build_table
from embfact.results.statistics.outcomes import outcomes

FILE = Path(__file__).with_name("real_seeds.npz")


def main(directory: str) -> None:
    table = build_table(find_records([directory]))
    (column,) = table.columns
    found = {row.method: outcomes(row, column, table.places) for row in table.rows}
    assert {row.seeds for row in found.values()} == {tuple(range(20))}
    predictions = {name: row.predictions.astype(np.uint8) for name, row in found.items()}
    np.savez_compressed(FILE, labels=found["none"].labels.astype(np.uint8), **predictions)


if __name__ == "__main__":
    main(sys.argv[1])
