"""``predictions.parquet``: what the model said of every example of the reported splits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embfact.data.tokenized import Tokenized
from embfact.runs.record import PREDICTIONS


def write_predictions(directory: Path, rows: Mapping[str, Tokenized], logits: Mapping[str, np.ndarray]) -> Path:
    """Write the predictions of a run in one step.

    Args:
        directory: The run directory.
        rows: The reported splits.
        logits: Scores of each, shape ``(rows, outputs)``, in the same order.

    Returns:
        The file, with the columns ``split``, ``id`` (row number in the split's source), ``label`` and ``logits``.
    """
    table = pa.concat_tables([_table(split, rows[split], logits[split]) for split in rows])
    path = directory / PREDICTIONS
    temporary = path.with_suffix(".tmp")
    try:
        pq.write_table(table, temporary, compression="zstd")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _table(split: str, rows: Tokenized, logits: np.ndarray) -> pa.Table:
    scores = pa.FixedSizeListArray.from_arrays(pa.array(logits.ravel(), pa.float32()), logits.shape[1])
    columns = {
        "split": pa.array([split] * len(rows), pa.string()),
        "id": pa.array(rows.ids, pa.int64()),
        "label": pa.array(rows.labels),
        "logits": scores.cast(pa.list_(pa.float32())),
    }
    return pa.table(columns)
