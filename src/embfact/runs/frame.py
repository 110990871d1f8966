"""What a record says of a run before anything is done: the same for one that finishes and one that fails."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from embfact.config.run_config import RunConfig
from embfact.runs.identity import Identity
from embfact.runs.provenance import git_state, versions


def frame_of(config: RunConfig, identity: Identity) -> dict[str, Any]:
    """The fields of `RunRecord` that are known before a run is done."""
    data = config.data
    return {
        "name": identity.name,
        "hash": identity.hash,
        "experiment": config.experiment_name,
        "tags": config.tags,
        "started": datetime.now(UTC),
        "config": config.plain(),
        "science": identity.science,
        "seed": config.seed,
        "data": {
            "name": data.name,
            "fingerprint": identity.data_fingerprint,
            "metrics": list(data.metrics),
            "target": data.target,
            "note": data.note,
        },
        "model": {"name": config.model.label, "fingerprint": identity.model_fingerprint},
        "method": {
            "name": config.factorization.name,
            "rank": config.rank if config.target else None,
            "size": config.size,
            "size_name": config.factorization.size_name,
            "storage": config.storage,
            "storage_group": config.kept.group,
            "quantization": None if config.storage == "float32" else config.quantization,
        },
        "versions": versions(),
        "git": git_state(),
    }
