"""The predictions of all runs of a table row, read from their ``predictions.parquet``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embfact.errors import UserError
from embfact.results.result_table import Column, Row
from embfact.results.statistics.metrics import plain_metric
from embfact.runs.record import PREDICTIONS, RunRecord

# Records hold figures computed in single precision.
_ROUNDING = 1e-4


class StatisticsError(UserError):
    """A figure cannot be computed from these runs; the message names the run and the remedy."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Predictions of one method at one size, on one split of one version of a data set.

    Attributes:
        seeds: Seeds of the runs, ascending.
        ids: Ids of the examples, ascending, the same for all seeds; shape ``(n,)``.
        labels: Classes or targets; shape ``(n,)``.
        predictions: Predicted classes or targets; shape ``(seeds, n)``.
    """

    seeds: tuple[int, ...]
    ids: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray

    def same_examples(self, other: Outcomes) -> bool:
        """Whether two rows were scored on the same examples with the same labels."""
        return np.array_equal(self.ids, other.ids) and np.array_equal(self.labels, other.labels)

    def only(self, seeds: tuple[int, ...]) -> Outcomes:
        """The outcomes of some of the seeds."""
        kept = [self.seeds.index(seed) for seed in seeds]
        return Outcomes(seeds, self.ids, self.labels, self.predictions[kept])


def outcomes(row: Row, column: Column, places: Mapping[str, Path]) -> Outcomes:
    """The predictions of all finished runs of a row that report a column.

    Args:
        row: The row.
        column: Data, split and metric.
        places: Hash -> run directory, as in `embfact.results.collect.Collected`.

    Raises:
        StatisticsError: If a run's predictions are missing, damaged, of other examples than those of the other seeds,
            or do not give the metric in its record.
    """
    runs = {run.seed: run for run in row.finished(column.data) if column.metric in run.metrics.get(column.split, {})}
    if not runs:
        raise StatisticsError(f"no finished run reports {column.metric} on {column.split}; train one")
    found = [_read(runs[seed], column, places) for seed in sorted(runs)]
    ids, labels, _ = found[0]
    for seed, (other_ids, other_labels, _) in zip(sorted(runs), found, strict=True):
        if not (np.array_equal(ids, other_ids) and np.array_equal(labels, other_labels)):
            raise StatisticsError(
                f"{runs[seed].name} was scored on other examples or labels than {runs[min(runs)].name}; "
                "train one of them again"
            )
    return Outcomes(tuple(sorted(runs)), ids, labels, np.stack([predictions for _, _, predictions in found]))


def _read(run: RunRecord, column: Column, places: Mapping[str, Path]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, labels and predictions of one run on a split, in ascending order of ids."""
    import pyarrow as pa

    if run.hash not in places:
        raise StatisticsError(f"the predictions of {run.name} are not on this machine; fetch its run directory")
    path = places[run.hash] / PREDICTIONS
    again = "train the run again with force=true"
    try:
        ids, labels, logits = _columns(path, column.split)
    except FileNotFoundError:
        raise StatisticsError(f"{path} is missing; {again}") from None
    except (OSError, pa.ArrowException, ValueError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StatisticsError(f"{path} cannot be read ({reason}); {again}") from None
    order = np.argsort(ids, kind="stable")
    ids, labels, logits = ids[order], labels[order], logits[order]
    predictions = logits[:, 0] if logits.shape[1] == 1 else logits.argmax(axis=1)
    value = plain_metric(column.metric, labels, predictions)
    kept = run.metrics[column.split][column.metric]
    if (value is None) != (kept is None) or abs((value or 0.0) - (kept or 0.0)) > _ROUNDING:
        raise StatisticsError(f"{path} gives {column.metric} {value}, but the record of its run says {kept}; {again}")
    return ids, labels, predictions


def _columns(path: Path, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, labels ``(n,)`` and logits ``(n, outputs)`` of a split.

    Raises:
        ValueError: If the file has no rows of the split, or its content is invalid.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        table = file.read(["split", "id", "label", "logits"])
    if missing := {"split", "id", "label", "logits"} - set(table.column_names):
        raise ValueError(f"no column {', '.join(sorted(missing))}")
    table = table.filter(pc.equal(table["split"], split))
    if not len(table):
        raise ValueError(f"no rows of the split {split}")
    ids, labels = (table[name].to_numpy() for name in ("id", "label"))
    flat = table["logits"].combine_chunks().flatten().to_numpy()
    sizes = pc.list_value_length(table["logits"]).to_numpy()
    if len(set(sizes.tolist())) != 1 or not sizes[0] or not np.isfinite(flat).all() or len(np.unique(ids)) != len(ids):
        raise ValueError("invalid logits or ids")
    return ids, labels, flat.reshape(len(ids), -1)
