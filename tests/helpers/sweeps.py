"""Sweeps as runs leave them, made without a run: records and predictions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embfact.results.collect import Collected
from embfact.results.result_table import ResultTable, build_table
from embfact.results.statistics.compare import Comparison, compare, interval
from embfact.results.statistics.components import Components, Seeds
from embfact.results.statistics.metrics import plain_metric
from embfact.results.statistics.outcomes import Outcomes
from embfact.results.statistics.resampling import replicates
from embfact.runs.record import PREDICTIONS, RunRecord
from tests.helpers.records import make_values

SPLIT = "validation"


def simulate(
    seeds: int, examples: int, generator: np.random.Generator, *, right: float = 1.2, seed_sd: float = 0.0
) -> Outcomes:
    """Runs of one method on two classes: examples differ in how hard they are, seeds in how good they are."""
    hardness = np.random.default_rng(0).normal(right, 1.0, examples)  # the same for every method
    skill = generator.normal(0.0, seed_sd, (seeds, 1))
    correct = hardness + skill + generator.normal(0.0, 1.0, (seeds, examples)) > 0
    labels = np.arange(examples) % 2
    return Outcomes(tuple(range(seeds)), np.arange(examples), labels, np.where(correct, labels, 1 - labels))


def comparison(difference: float, *, seeds: int = 4, sd: float = 0.004, example: float = 0.0) -> Comparison:
    """A comparison whose seeds differ by this standard deviation."""
    parts = Components((Seeds(seeds, sd**2 / seeds if seeds > 1 else 0.0),), example**2, 0.0)
    half = parts.half_width(0.025)
    p_value = parts.p_value(difference) if seeds > 1 else None
    ends = difference - half, difference + half
    return Comparison(difference, *ends, p_value, (seeds, seeds), 872, 0.95, "", parts)


def compared(method: Outcomes, reference: Outcomes, metric: str, level: float = 0.95) -> Comparison:
    """Two rows of outcomes, compared."""
    return compare(*replicates([method, reference], metric), level)


def interval_of(outcomes: Outcomes, metric: str) -> tuple[float, float]:
    """The 95 % interval of the mean of a metric over seeds."""
    return interval(*replicates([outcomes], metric), 0.95)


class Sweep:
    """Run directories below a folder, and the table of them."""

    def __init__(self, root: Path):
        self.root = root
        self.records: list[RunRecord] = []
        self.places: dict[str, Path] = {}

    def add(self, found: Outcomes, *, metrics: tuple[str, ...] = ("accuracy",), **values: Any) -> None:
        """One run for each seed of some outcomes; ``values`` are those of `make_values`."""
        for seed, predictions in zip(found.seeds, found.predictions, strict=True):
            figures = {name: plain_metric(name, found.labels, predictions) for name in metrics}
            self.add_run(found, predictions, {SPLIT: figures}, seed=seed, **values)

    def add_run(
        self, found: Outcomes, predictions: np.ndarray, metrics: Mapping[str, Mapping[str, float | None]], **values: Any
    ) -> Path:
        """One run with these metrics in its record."""
        baselines = values.pop("baselines", {})
        record = RunRecord.model_validate(make_values(metrics=dict(metrics), **values) | {"baselines": baselines})
        place = self.root / record.name
        place.mkdir(parents=True)
        classes = predictions.dtype.kind != "f"
        logits = np.eye(int(predictions.max(initial=1)) + 1)[predictions] if classes else predictions[:, None]
        columns = {"split": [SPLIT] * len(found.ids), "id": found.ids, "label": found.labels}
        pq.write_table(pa.table(columns | {"logits": logits.astype(np.float32).tolist()}), place / PREDICTIONS)
        self.records.append(record)
        self.places[record.hash] = place
        return place

    @property
    def table(self) -> ResultTable:
        """The table of all runs."""
        return build_table(Collected(tuple(self.records), (), self.places))
