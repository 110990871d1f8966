"""What a run carries at W&B, so that it can be found, grouped and plotted there, and tables be made from it.

The whole record is one string in the run's configuration. There it comes back with every page of runs, it makes no
column for each of its hundred fields, and its 10 kB are far below what W&B recommends at most (10 MB of configuration).
Light to import: no torch, no wandb.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from embfact.results.comparable import group_of, seeds_of
from embfact.runs.record import Amount, RunRecord

if TYPE_CHECKING:
    from embfact.config.run_config import RunConfig
    from embfact.runs.identity import Identity

RECORD = "record"  # key of the whole record, as JSON
SCORE = "score"  # key of the metric that a data set is judged by, whatever it is called
LONGEST_TAG = 64  # characters; W&B refuses the whole run for one more


def settings(config: RunConfig, identity: Identity) -> dict[str, Any]:
    """How a run is filed: group, kind, tags and configuration, as ``wandb.init`` takes them."""
    dense = config.factorization.name == "none" and config.storage == "float32"
    return {
        "group": config.experiment_name,
        "job_type": "baseline" if dense else "factorized",
        "tags": list(dict.fromkeys(tag[:LONGEST_TAG] for tag in config.tags if tag)),
        "config": _configuration(config, identity),
    }


def _configuration(config: RunConfig, identity: Identity) -> dict[str, Any]:
    """The resolved configuration, with what runs are grouped and filtered by at the top.

    Averaged may be what shares ``repeats``, compared what shares ``comparable``: see `embfact.results.comparable`.
    """
    return {
        **config.plain(),
        "method": config.factorization.name,
        "rank": config.rank if config.factorization.uses_rank else None,
        "variant": "-".join(filter(None, [config.factorization.name, config.size])),
        "dataset": config.data.name,
        "backbone": config.model.label,
        "hash": identity.hash,
        "repeats": seeds_of(identity.science),
        "comparable": group_of(identity.science, config.search.model_dump(mode="json"), identity.model_fingerprint),
    }


def outcome(record: RunRecord) -> dict[str, Any]:
    """What is known of a run's configuration only when it has ended: the rank of a budget, and the whole record."""
    text = json.dumps(record.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return {"rank": record.method.rank, RECORD: text}


def summary(record: RunRecord) -> dict[str, Any]:
    """The figures of a run: how it ended, seconds, sizes, their share of dense, metrics; without undefined ones."""
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
    if record.metrics and record.data.metrics:
        values[SCORE] = next(iter(record.metrics.values())).get(record.data.metrics[0])
    return {name: value for name, value in values.items() if value is not None}


def _sizes(record: RunRecord) -> dict[str, int | float]:
    size = record.size
    if size is None:
        return {}
    parts = {"embedding": (size.embedding, size.dense.embedding), "total": (size.model, size.dense.model)}
    return {name: value for part, amounts in parts.items() for name, value in _size(part, *amounts).items()}


def _size(part: str, small: Amount, dense: Amount) -> dict[str, int | float]:
    return {
        f"params/{part}": small.parameters,
        f"params/{part}_ratio": small.parameters / dense.parameters,
        f"bytes/{part}": small.bytes,
        f"bytes/{part}_ratio": small.bytes / dense.bytes,
    }
