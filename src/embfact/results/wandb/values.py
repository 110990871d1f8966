"""The data of a run on W&B: for search, grouping and plots there, and for tables made from it.

The whole record is one string in the run's configuration. It is then returned with every page of runs, does not create
a column for each of its hundred fields, and with 10 kB is far below W&B's recommended limit of 10 MB.
Light to import: no torch, no wandb.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from embfact.results.comparable import group_of, seeds_of
from embfact.runs.record import RunRecord

if TYPE_CHECKING:
    from embfact.config.run_config import RunConfig
    from embfact.runs.identity import Identity

RECORD = "record"  # key of the whole record, as JSON
SCORE = "score"  # key of the main metric of a data set, whatever it is
RESULT = "result"  # key of a run's line of the table, and of the chart of these lines
PARAMETERS = "embedding parameters"  # the column on the horizontal axis of that chart
LONGEST_TAG = 64  # characters; W&B rejects a run with a longer tag


def settings(config: RunConfig, identity: Identity) -> dict[str, Any]:
    """Group, job type, tags and configuration for ``wandb.init``.

    The configuration has what runs are grouped and filtered by at the top. Runs with the same ``repeats`` may be
    averaged, runs with the same ``comparable`` compared: see `embfact.results.comparable`.
    """
    dense = config.factorization.name == "none" and config.storage == "float32"
    return {
        "group": config.experiment_name,
        "job_type": "baseline" if dense else "factorized",
        "tags": list(dict.fromkeys(tag[:LONGEST_TAG] for tag in config.tags if tag)),
        "config": {
            **config.plain(),
            "method": config.factorization.name,
            "rank": config.rank if config.factorization.uses_rank else None,
            "learning_rate": config.optimizer.lr,
            "variant": "-".join(filter(None, [config.factorization.name, config.size])),
            "dataset": config.data.name,
            "backbone": config.model.label,
            "hash": identity.hash,
            "repeats": seeds_of(identity.science),
            "comparable": group_of(identity.science, config.search.model_dump(mode="json"), identity.model_fingerprint),
        },
    }


def outcome(record: RunRecord) -> dict[str, Any]:
    """Configuration values known only after a run: the rank of a budget, and the whole record."""
    text = json.dumps(record.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return {"rank": record.method.rank, RECORD: text}


def summary(record: RunRecord) -> dict[str, Any]:
    """The summary of a run: status, seconds, sizes and their share of dense, metrics; without undefined values."""
    values: dict[str, Any] = {
        "status": record.status,
        "error": record.error and record.error.message,
        "peak_memory_bytes": record.peak_memory_bytes,
        **{f"seconds/{phase}": seconds for phase, seconds in record.seconds.model_dump().items()},
        **_sizes(record),
        **{f"{split}/{name}": value for split, found in record.metrics.items() for name, value in found.items()},
    }
    if record.selection:
        values |= {"selection/best": record.selection.value, "selection/best_epoch": record.selection.best_epoch}
    values[SCORE] = _score(record)[1]
    return {name: value for name, value in values.items() if value is not None}


def row(record: RunRecord) -> dict[str, Any]:
    """A run as a line of a table that has a line for every run; a metric is a fraction, and None without one."""
    metric, score = _score(record)
    size = record.size
    return {
        "data": record.data.name,
        "backbone": record.model.name,
        "method": record.method.name,
        "rank": record.method.rank,
        "storage": record.method.storage,
        PARAMETERS: size and size.embedding.parameters,
        "embedding bytes": size and size.embedding.bytes,
        "model parameters": size and size.model.parameters,
        "model bytes": size and size.model.bytes,
        "metric": metric,
        SCORE: score,
        "learning rate": record.science.get("optimizer", {}).get("lr"),
        "seed": record.seed,
        "status": record.status,
    }


def _score(record: RunRecord) -> tuple[str | None, float | None]:
    """Name and value of the first metric of the data set on its first reported split."""
    if not (record.metrics and record.data.metrics):
        return None, None
    split, figures = next(iter(record.metrics.items()))
    return f"{split}/{record.data.metrics[0]}", figures.get(record.data.metrics[0])


def _sizes(record: RunRecord) -> dict[str, int | float]:
    size = record.size
    if size is None:
        return {}
    parts = {"embedding": (size.embedding, size.dense.embedding), "total": (size.model, size.dense.model)}
    values: dict[str, int | float] = {}
    for part, (small, dense) in parts.items():
        values |= {f"params/{part}": small.parameters, f"params/{part}_ratio": small.parameters / dense.parameters}
        values |= {f"bytes/{part}": small.bytes, f"bytes/{part}_ratio": small.bytes / dense.bytes}
    return values
