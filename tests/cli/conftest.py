"""Tiny finished runs, and ways to call a script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embfact.cli.train import main as train
from tests.helpers.commands import BAD, GOOD, TINY, command, modules_after, refused, run
from tests.helpers.places import CONF

__all__ = ["command", "mirror", "modules_after", "refused", "run", "runs"]
TEXTS = [text for pair in zip(GOOD, BAD, strict=True) for text in pair]


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local mirror with a few rows of some GLUE tasks; the labels of the test splits are hidden, as on the hub."""
    folder = tmp_path_factory.mktemp("mirror")
    count = len(TEXTS)
    pairs = {"sentence1": TEXTS, "sentence2": TEXTS[::-1]}
    tables = {
        "sst2": ({"sentence": TEXTS}, [(row + 1) % 2 for row in range(count)], pa.int64(), ["validation"], ["test"]),
        "rte": (pairs, [row % 2 for row in range(count)], pa.int64(), ["validation"], ["test"]),
        "stsb": (pairs, [row * 5 / (count - 1) for row in range(count)], pa.float64(), ["validation"], ["test"]),
        "mnli": (
            {"premise": TEXTS, "hypothesis": TEXTS[::-1]},
            [row % 3 for row in range(count)],
            pa.int64(),
            ["validation_matched", "validation_mismatched"],
            ["test_matched", "test_mismatched"],
        ),
    }
    for task, (texts, labels, kind, reported, hidden) in tables.items():
        (folder / "glue" / task).mkdir(parents=True)
        for split in ["train", *reported, *hidden]:
            given = [-1] * count if split in hidden else labels
            words = {name: [f"{text} ({split})" for text in column] for name, column in texts.items()}
            table = pa.table({**words, "label": pa.array(given, kind)})
            pq.write_table(table, folder / "glue" / task / f"{split}.parquet")
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Callable[..., Path]:
    """Trains a tiny run on a data set once, and gives its directory."""
    outputs, cache, made = tmp_path_factory.mktemp("outputs"), tmp_path_factory.mktemp("cache"), {}

    def finished(data: str, *words: str) -> Path:
        if (data, *words) not in made:
            folder = outputs / str(len(made))
            small = ["debug=fast"] if data == "vader" else ["data.selection_size=4", f"paths.data_dir={mirror}"]
            here = [f"output_dir={folder}", f"paths.cache_dir={cache}", f"data={data}"]
            assert train(CONF, [*TINY, *here, *small, *words]) == 0
            (made[data, *words],) = (path.parent for path in folder.glob("*/record.json"))
        return made[data, *words]

    return finished
