"""Short real runs on the real data sets, through the real command line, on the packaged backbone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embfact.results.collect import find_records
from tests.helpers.places import ROOT

TRAIN = ROOT / "train.py"
MIRROR = Path(os.environ.get("EMBFACT_DATA_DIR", "nowhere"))


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "split", "metric"),
    [
        ("sst2", "validation", "accuracy"),
        ("cola", "validation", "matthews"),
        ("rte", "validation", "accuracy"),
        ("imdb", "test", "accuracy"),
    ],
)
def test_a_sweep_on_a_real_data_set_ends_with_its_table(name: str, split: str, metric: str, tmp_path: Path) -> None:
    if not list(MIRROR.glob(f"**/{name}/train.parquet")):
        pytest.skip(f"EMBFACT_DATA_DIR has no {name}")
    small = ["data.train_size=64", "data.eval_size=64", "data.max_length=32", "trainer.epochs=1", "logger=none"]
    words = [f"data={name}", "factorization=weighted_svd", "rank=64", *small, f"output_dir={tmp_path}", "-m"]
    done = subprocess.run([sys.executable, str(TRAIN), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{name} {metric}" in done.stdout
    records = find_records([tmp_path]).records
    assert [record.method.name for record in records] == ["none", "weighted_svd"]
    for record in records:
        assert record.data.rows["train"] == record.data.rows[split] == 64
        assert list(record.metrics[split]) == [metric]
