"""Scoring a finished run on a data set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embfact.config.data_config import DataConfig
from embfact.data.fingerprint import fingerprint_of, locate
from embfact.data.labels import UnknownLabelError
from embfact.data.splits import draw
from embfact.data.text import load_split
from embfact.errors import DataError
from embfact.inference.target import Target, named
from embfact.runs.finished_run import FinishedRun
from embfact.tasks.metrics import score

# The options that identify the files or the published rows of a data set.
PUBLISHED = ("source", "hub", "hub_config", "revision", "mirror", "collection")
PLACE = (*PUBLISHED, "train_file", "validation_file", "train_split", "report_splits")


@dataclass(frozen=True)
class Evaluation:
    """The figures of a run on a data set.

    Attributes:
        run: Name of the run.
        hash: Its hash.
        data: Name of the data set.
        origin: Where its rows came from.
        fingerprint: SHA-256 of the data: for the run's own data including the training split, as in records; otherwise
            of the scored splits only.
        run_fingerprint: SHA-256 of the data that the run was trained on.
        rows: Split -> number of rows scored.
        trained_on: Splits with rows that the run was trained on.
        metrics: Split -> metric -> value; None if undefined.
        device: The device it was computed on.
        note: Caveats of the data set.
    """

    run: str
    hash: str
    data: str
    origin: str
    fingerprint: str
    run_fingerprint: str | None
    rows: Mapping[str, int]
    trained_on: Sequence[str]
    metrics: Mapping[str, Mapping[str, float | None]]
    device: str
    note: str | None

    def json(self) -> str:
        """The evaluation as a JSON document."""
        return json.dumps(asdict(self), indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    def lines(self) -> list[str]:
        """The evaluation as text: one line per split and metric, in percent."""
        # With another fingerprint it may still be a split of the run's data, which `trained_on` tells.
        whose = " (the run's own)" if self.fingerprint == self.run_fingerprint else ""
        lines = [f"{self.run} on {self.data} ({self.origin})", f"data fingerprint {self.fingerprint}{whose}"]
        for split, metrics in self.metrics.items():
            for name, value in metrics.items():
                figure = "undefined" if value is None else f"{100 * value:.2f}"
                lines.append(f"{split}  {name}  {figure}  ({self.rows[split]} rows)")
        for split in self.trained_on:
            lines.append(f"{split}: the run was trained on rows of this split; its figures say nothing about new texts")
        return lines + ([self.note] if self.note else [])


def evaluate(run: FinishedRun, target: Target, device: str | None = None) -> Evaluation:
    """Score a run; on its own data and device the figures are bitwise equal to those in its record.

    Raises:
        UserError: If the data or the checkpoint cannot be used.
    """
    data = target.data
    # Other data may have no training rows; the fingerprint in the record covers those of the run's own data.
    own = all(getattr(data, option) == getattr(run.data, option) for option in PLACE)
    origin = locate(data, target.data_dir, None if own else data.report_splits, cache_dir=target.cache_dir)
    # The mirror may have some splits of a data set that otherwise comes from the hub; never mix the two.
    mirror = None if origin.kind == "hub" else target.data_dir
    rows = {split: scored_rows(run, data, mirror, split, target.cache_dir) for split in data.report_splits}
    from embfact.inference.scoring import Scorer, use_threads_of  # torch only once there is something to score

    use_threads_of(run)
    scorer = Scorer(run, device)
    metrics = {}
    for split, table in rows.items():
        logits = scorer.logits(
            table, max_length=data.max_length, batch_size=target.batch_size, cache_dir=target.cache_dir
        )
        # A copy, since torch warns about Arrow's read-only memory.
        metrics[split] = score(data.metrics, logits, np.array(table.column("label")))
    return Evaluation(
        run=run.record.name,
        hash=run.record.hash,
        data=data.name,
        origin=origin.words,
        fingerprint=fingerprint_of(data, origin),
        run_fingerprint=run.record.data.fingerprint,
        rows={split: table.num_rows for split, table in rows.items()},
        trained_on=[split for split in rows if was_trained_on(run, target, split)],
        metrics=metrics,
        device=scorer.device.type,
        note=data.note,
    )


def scored_rows(
    run: FinishedRun, data: DataConfig, data_dir: str | None, split: str, cache_dir: str | None = None
) -> pa.Table:
    """The rows of a split to score, with labels in the codes of the run.

    Args:
        run: The run.
        data: The data set.
        data_dir: Folder of the local mirror, or None.
        split: Name of the split.
        cache_dir: Folder that the rated sentences are fetched into; other data sets do not need it.

    Raises:
        DataError: If the rows cannot be used, or their labels are hidden.
    """
    try:
        names = None if data.label_names else run.label_names
        rows = load_split(data, data_dir, split, names, cache_dir=cache_dir)
    except UnknownLabelError as error:
        raise DataError(f"{error.what}; {_remedy(run, data, error)}") from None
    rows = draw(rows, data.eval_size, data.report_seed, option="data.eval_size", split=split)
    labels = rows.column("label")
    if labels.null_count:
        raise DataError(
            f"the labels of {data.name}, split {split}, are hidden, so it cannot be scored; "
            "for GLUE's test sets use scripts/predict.py RUN --glue"
        )
    if not (run.classes and data.label_names):
        return rows
    codes = pa.array(run.classes.codes(data.label_names), pa.int64())
    return rows.set_column(rows.column_names.index("label"), "label", pc.take(codes, labels))


def _remedy(run: FinishedRun, data: DataConfig, error: UnknownLabelError) -> str:
    if run.classes and not data.label_names and run.classes.are_positions(error.labels):
        return f'if they are the positions of these classes, counting from 0, add "{named(run.classes.names)}"'
    return "label these rows with the classes that the run was trained on, or choose other data"


def was_trained_on(run: FinishedRun, target: Target, split: str) -> bool:
    """Whether a split is the one that the run drew its training rows from, judged by files or commits."""
    try:
        trained = _identity(run.data, target, run.data.train_split)
    except DataError:  # the training rows no longer exist
        return False
    return _identity(target.data, target, split) == trained


def _identity(data: DataConfig, target: Target, split: str) -> tuple[str | None, ...]:
    """Equal for splits with the same rows: the hash of their file, or their place in a published data set."""
    origin = locate(data, target.data_dir, [split], cache_dir=target.cache_dir)
    if origin.kind == "hub":
        return (data.hub, data.hub_config, origin.commit, split)
    if origin.kind == "vader":
        return ("vader", split)
    if origin.kind == "rated_sentences":
        return (fingerprint_of(data, origin), split)
    return (fingerprint_of(data, replace(origin, files={"rows": origin.files[split]})),)
