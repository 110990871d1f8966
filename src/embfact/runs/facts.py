"""What a record says about a run before it starts."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from embfact import __version__
from embfact.config.run_config import RunConfig
from embfact.runs.identity import RESULTS_VERSION, Identity, library_versions
from embfact.runs.record import DataPart, MethodPart, ModelPart, RunFacts


def facts_of(config: RunConfig, identity: Identity) -> RunFacts:
    """The facts of a run that is starting."""
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
            caveat=config.factorization.caveat(fine_tuned=config.model.from_run is not None),
            storage=config.storage,
            storage_group=config.kept.group,
            quantization=None if config.storage == "float32" else config.quantization,
        ),
        teacher=identity.teacher.resolve().name if identity.teacher else None,
        versions=versions(),
        git=git_state(),
    )


@lru_cache(maxsize=1)
def git_state() -> dict[str, str | bool] | None:
    """Commit of the checkout that this package runs from, and whether it is dirty; None outside a checkout."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(here), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
            timeout=10,
        )
        return done.stdout.strip()

    try:
        tracked = git("ls-files", "--error-unmatch", Path(__file__).name)
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))} if tracked else None
    except (OSError, subprocess.SubprocessError):
        return None


def versions() -> dict[str, str]:
    """Versions of everything that can affect a result."""
    own = {"embfact": __version__, "results": str(RESULTS_VERSION), "python": platform.python_version()}
    return {**own, **library_versions()}
