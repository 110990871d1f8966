"""What a record says of a run before anything is done."""

from __future__ import annotations

from datetime import UTC, datetime

from embfact.config.run_config import RunConfig
from embfact.runs.identity import Identity
from embfact.runs.provenance import git_state, versions
from embfact.runs.record import DataPart, MethodPart, ModelPart, RunFacts


def facts_of(config: RunConfig, identity: Identity) -> RunFacts:
    """The facts of a run that starts now."""
    data = config.data
    return RunFacts(
        name=identity.name,
        hash=identity.hash,
        experiment=config.experiment_name,
        tags=config.tags,
        started=datetime.now(UTC),
        config=config.plain(),
        science=identity.science,
        seed=config.seed,
        data=DataPart(
            name=data.name,
            fingerprint=identity.data_fingerprint,
            metrics=list(data.metrics),
            target=data.target,
            note=data.note,
        ),
        model=ModelPart(name=config.model.label, fingerprint=identity.model_fingerprint),
        method=MethodPart(
            name=config.factorization.name,
            rank=config.rank if config.target else None,
            size=config.size,
            size_name=config.factorization.size_name,
            storage=config.storage,
            storage_group=config.kept.group,
            quantization=None if config.storage == "float32" else config.quantization,
        ),
        versions=versions(),
        git=git_state(),
    )
